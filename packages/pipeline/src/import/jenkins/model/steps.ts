import type { Block, Expression, Statement } from "../groovy/nodes.ts";
import { checkArguments, soleParameter } from "./describable.ts";
import { blockOf, blockText, callOf, matchName, matchText, type Reading, readName, readText } from "./match.ts";
import type { Arguments, Branch, Code, Step } from "./model.ts";
import { BLOCKED_STEPS, SOLE_PARAMETERS, STEPS } from "./registry.ts";
import { readArgumentList } from "./values.ts";

/** The steps of a section: one list, or the branches of a lone `parallel`. */
export function readBranches(block: Block, reading: Reading): { branches: Branch[]; failFast?: boolean } {
  const [only] = block.statements;
  const parallel = block.statements.length === 1 && only !== undefined ? readParallel(only, reading) : undefined;
  return parallel ?? { branches: [readBranch("default", block, reading)] };
}

function readParallel(statement: Statement, reading: Reading): { branches: Branch[]; failFast?: boolean } | undefined {
  const call = callOf(statement);
  if (call === undefined || matchName(call) !== "parallel") return undefined;
  const [args] = call.args;
  const entries = call.args.length === 1 && args?.kind === "map" ? args.entries : [];
  let failFast: boolean | undefined;
  const branches = entries.flatMap(({ key, value }): Branch[] => {
    if (matchText(key) === "failFast") {
      failFast = readBoolean(value, "failFast", reading);
      return [];
    }
    if (value.kind === "closure") return [readBranch(readText(key, reading), value.body, reading)];
    reading.problems.add("Expected closure or failFast", key.start);
    return [];
  });
  return { branches, ...(failFast === undefined ? {} : { failFast }) };
}

/** A literal boolean, reported when it is none. */
export function readBoolean(value: Expression | undefined, name: string, { problems }: Reading): boolean | undefined {
  if (value?.kind === "constant" && typeof value.value === "boolean") return value.value;
  problems.add(`Expected a boolean with ${name}`, value?.start ?? 0);
  return undefined;
}

/** The steps of a block, of which there must be one. */
export function readBranch(name: string, block: Block, reading: Reading): Branch {
  const steps = readSteps(block, reading);
  if (steps.length === 0) reading.problems.add("No steps specified for branch", block.start);
  return { name, steps, at: block.start };
}

function readSteps({ statements }: Block, reading: Reading): Step[] {
  return statements.flatMap((statement) => {
    const step = readStep(statement, reading);
    return step === undefined ? [] : [step];
  });
}

function readStep(statement: Statement, reading: Reading): Step | undefined {
  const call = callOf(statement);
  const { start: at } = statement;
  if (call === undefined) {
    reading.problems.add("Expected a step", at);
    return undefined;
  }
  const name = readName(call, reading);
  const blocked = BLOCKED_STEPS.get(name);
  if (blocked !== undefined)
    reading.problems.add(`Invalid step "${name}" used - not allowed in this context - ${blocked}`, at);
  const block = blockOf(statement);
  if (name === "script" || name === "expression") return readCodeStep(name, { block: block?.body, at }, reading);
  const args = nameSoleValue(name, readArgumentList(block?.args ?? call.args, reading));
  if (blocked === undefined) checkStep(name, { args, at }, reading);
  return block === undefined ? { name, args, at } : { name, args, at, children: readSteps(block.body, reading) };
}

function readCodeStep(
  name: string,
  { block, at }: { readonly block: Block | undefined; readonly at: number },
  reading: Reading,
): Step {
  const code = readCode(name, { block, at }, reading);
  return { name, args: { kind: "named", entries: [] }, at, ...(code === undefined ? {} : { code }) };
}

/** Groovy that is kept as text; reported when there is no block. */
export function readCode(
  name: string,
  { block, at }: { readonly block: Block | undefined; readonly at: number },
  reading: Reading,
): Code | undefined {
  if (block !== undefined) return { text: blockText(block, reading), body: block };
  reading.problems.add(`${name === "script" ? "Script" : "When"} step without a block`, at);
  return undefined;
}

/** The lone value of a step without a block is that of its one required parameter. */
function nameSoleValue(name: string, args: Arguments): Arguments {
  const signature = STEPS.get(name);
  const sole = signature === undefined ? SOLE_PARAMETERS.get(name) : soleParameter(signature);
  const isOpen = signature?.takesBlock === true;
  const key = SOLE_PARAMETERS.get(name) ?? sole;
  if (args.kind !== "single" || key === undefined || isOpen) return args;
  return { kind: "named", entries: [{ key, value: args.value, at: args.value.at }] };
}

function checkStep(
  name: string,
  { args, at }: { readonly args: Arguments; readonly at: number },
  { problems }: Reading,
): void {
  const signature = STEPS.get(name);
  if (signature !== undefined) checkArguments({ name, args: unwrapped(args, signature), signature, at }, problems);
}

/** A lone value of the sole parameter is judged without its name, as in Jenkins. */
function unwrapped(
  args: Arguments,
  signature: { readonly required: readonly string[]; readonly takesBlock: boolean },
): Arguments {
  if (args.kind !== "named" || args.entries.length !== 1 || signature.takesBlock) return args;
  const [only] = args.entries;
  const isSole = signature.required.length === 1 && only?.key === signature.required[0];
  return isSole && only !== undefined ? { kind: "single", value: only.value } : args;
}
