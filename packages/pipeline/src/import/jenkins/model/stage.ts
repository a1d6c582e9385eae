import type { Block, Statement } from "../groovy/nodes.ts";
import { readAgent } from "./agent.ts";
import { blockOf, callOf, namedEntries, type Reading, readText, sectionBlock } from "./match.ts";
import { readAxes, readExcludes } from "./matrix.ts";
import type { Input, Matrix, MethodCall, Stage, StageBase, Value } from "./model.ts";
import { readCalls, readEnvironment, readOnly, readPost, readTools, repeated } from "./sections.ts";
import { readBoolean, readBranches } from "./steps.ts";
import { readValue } from "./values.ts";
import { readWhen } from "./when.ts";

/** Fields that are set one after the other. */
type Mutable<T> = { -readonly [key in keyof T]: T[key] };

/** Where a stage stands: those of a parallel or matrix hold neither. */
interface StageOptions {
  readonly isWithinParallel: boolean;
}

/** The stages of a `stages` or `parallel` block, of which there must be one, with names of their own. */
export function readStages(
  statement: Statement,
  { section, isWithinParallel }: StageOptions & { readonly section: string },
  reading: Reading,
): readonly Stage[] {
  const block = sectionBlock(statement, section, reading);
  if (block === undefined) return [];
  const stages = block.statements.flatMap((one) => readStage(one, { isWithinParallel }, reading) ?? []);
  if (stages.length === 0) reading.problems.add("No stages specified", statement.start);
  for (const name of repeated(stages.map((stage) => stage.name)))
    reading.problems.add(`Duplicate stage name: "${name}"`, statement.start);
  return stages;
}

function readStage(statement: Statement, options: StageOptions, reading: Reading): Stage | undefined {
  const { problems } = reading;
  const block = blockOf(statement);
  const call = callOf(statement);
  const { start: at } = statement;
  if (block?.name !== "stage") {
    const isBare = call?.method.kind === "constant" && call.method.value === "stage";
    problems.add(isBare ? "Stage does not have a block" : "Expected a stage", at);
    return undefined;
  }
  const [nameNode, ...others] = block.args;
  if (nameNode === undefined || others.length > 0) {
    problems.add("Expected a stage name but did not find any", at);
    return undefined;
  }
  const stage: Mutable<Stage> = { name: readText(nameNode, reading), branches: [], at };
  readSections(block.body, { reading, owner: "stage" }, (name, one) => {
    if (readStageBody(stage, name, { statement: one, options }, reading)) return true;
    return readBaseSection(stage, name, { statement: one, reading });
  });
  checkStage(stage, options, reading);
  return stage;
}

/** Reads the sections of a stage or matrix; each may be there once. */
function readSections(
  block: Block,
  { reading, owner }: { readonly reading: Reading; readonly owner: "stage" | "matrix" },
  read: (name: string, statement: Statement) => boolean,
): void {
  const { problems } = reading;
  const kind = owner === "stage" ? "stage section" : "section";
  for (const { name, statement: one } of namedEntries(block.statements, reading, kind)) {
    if (read(name, one)) continue;
    const unknown = `Unknown stage section "${name}". Starting with version 0.5, steps in a stage must be in a ‘steps’ block.`;
    problems.add(owner === "stage" ? unknown : `Undefined section "${name}"`, one.start);
  }
}

function readStageBody(
  stage: Mutable<Stage>,
  name: string,
  { statement, options }: { readonly statement: Statement; readonly options: StageOptions },
  reading: Reading,
): boolean {
  switch (name) {
    case "steps": {
      const block = sectionBlock(statement, "steps", reading);
      if (block !== undefined) Object.assign(stage, readBranches(block, reading));
      return true;
    }
    case "stages":
      stage.stages = readStages(statement, { section: "stages", ...options }, reading);
      return true;
    case "parallel":
      stage.parallel = readStages(statement, { section: "parallel", isWithinParallel: true }, reading);
      return true;
    case "matrix":
      stage.matrix = readMatrix(statement, reading);
      return true;
    case "failFast":
      stage.failFast = readBoolean(callOf(statement)?.args[0], "failFast", reading) ?? false;
      return true;
    default:
      return false;
  }
}

function readBaseSection(
  stage: Mutable<StageBase>,
  name: string,
  { statement, reading }: { readonly statement: Statement; readonly reading: Reading },
): boolean {
  switch (name) {
    case "agent": {
      const agent = readAgent(statement, reading);
      if (agent !== undefined) stage.agent = agent;
      return true;
    }
    case "when":
      stage.when = readWhen(statement, reading);
      return true;
    case "post":
      stage.post = readPost(statement, reading);
      return true;
    case "options":
      stage.options = readCalls(statement, "stageOptions", reading);
      return true;
    case "input":
      stage.input = readInput(statement, reading);
      return true;
    case "tools":
      stage.tools = readTools(statement, reading);
      return true;
    case "environment":
      stage.environment = readEnvironment(statement, reading);
      return true;
    default:
      return false;
  }
}

function readMatrix(statement: Statement, reading: Reading): Matrix {
  const { problems } = reading;
  const { start: at } = statement;
  const matrix: Mutable<Matrix> = { at };
  const block = sectionBlock(statement, "matrix", reading);
  if (block === undefined) return matrix;
  readSections(block, { reading, owner: "matrix" }, (name, one) => {
    if (name === "axes") matrix.axes = readAxes(one, reading);
    else if (name === "excludes") matrix.excludes = readExcludes(one, reading);
    else if (name === "stages") matrix.stages = readStages(one, { section: "stages", isWithinParallel: true }, reading);
    else return readBaseSection(matrix, name, { statement: one, reading });
    return true;
  });
  if (matrix.axes === undefined) problems.add('Missing required section "axes"', at);
  if (matrix.stages === undefined) problems.add('Missing required section "stages"', at);
  return matrix;
}

function checkStage(stage: Stage, { isWithinParallel }: StageOptions, { problems }: Reading): void {
  const { name, branches, stages, parallel, matrix, at } = stage;
  const isSplit = parallel !== undefined || matrix !== undefined;
  const count = [matrix, parallel, stages, branches[0]].filter((body) => body !== undefined).length;
  if (isWithinParallel && (branches.length > 1 || isSplit))
    problems.add(
      '"matrix" or "parallel" cannot be nested inside another "matrix" or "parallel".',
      matrix?.at ?? parallel?.[0]?.at ?? at,
    );
  else if (count > 1)
    problems.add(`Only one of "matrix", "parallel", "stages", or "steps" allowed for stage "${name}"`, at);
  else if (count === 0) problems.add(`Expected one of "steps", "stages", or "parallel" for stage "${name}"`, at);
  else if (isSplit) {
    for (const section of ["agent", "tools"] as const) {
      const own = stage[section];
      if (own !== undefined)
        problems.add(`"${section}" is not allowed in stage "${name}" as it contains parallel stages`, own.at);
    }
  } else {
    for (const branch of repeated(branches.map((it) => it.name)))
      problems.add(`Duplicate parallel branch name: "${branch}"`, at);
  }
}

const INPUT_FIELDS: ReadonlySet<string> = new Set(["message", "id", "ok", "submitter", "submitterParameter"]);

function readInput(statement: Statement, reading: Reading): Input {
  const { problems } = reading;
  const { start: at } = statement;
  const fields: Record<string, Value> = {};
  let parameters: readonly MethodCall[] = [];
  const block = sectionBlock(statement, "input", reading);
  if (block === undefined) return { fields, parameters, at };
  const seen = new Set<string>();
  for (const { name, call, statement: one } of namedEntries(block.statements, reading)) {
    seen.add(name);
    const missing = { none: `No argument for field "${name}"`, many: `Too many arguments for field "${name}"` };
    const only = readOnly(call, missing, reading);
    if (only === undefined) continue;
    if (name === "parameters") parameters = readCalls(one, "parameters", reading).calls;
    else if (INPUT_FIELDS.has(name)) fields[name] = readValue(only, reading);
    else problems.add(`Not a valid field for input: "${name}"`, one.start);
  }
  if (!seen.has("message")) problems.add("No message specified for input", at);
  return { fields, parameters, at };
}
