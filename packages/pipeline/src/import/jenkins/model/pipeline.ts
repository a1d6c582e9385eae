import type { Block, Statement } from "../groovy/nodes.ts";
import { readAgent } from "./agent.ts";
import { blockOf, callOf, matchName, namedEntries, type Reading } from "./match.ts";
import type { Pipeline } from "./model.ts";
import { readCalls, readEnvironment, readLibraries, readPost, readTools } from "./sections.ts";
import { readStages } from "./stage.ts";

type Mutable<T> = { -readonly [key in keyof T]: T[key] };

/** Sections of early versions, and what to say of them. */
const RENAMED: Readonly<Record<string, string>> = {
  properties: "The ‘properties’ section has been renamed as of version 0.8. Use ‘options’ instead.",
  wrappers: "The 'wrappers' section has been removed as of version 0.8. Use 'options' instead.",
  jobProperties: "The ‘jobProperties’ section has been renamed as of version 0.7. Use ‘properties’ instead.",
  notifications:
    "The ‘notifications’ section has been removed as of version 0.6. Use ‘post’ for all post-build actions.",
  postBuild: "The ‘postBuild’ section has been renamed as of version 0.6. Use ‘post’ for all post-build actions.",
};

/**
 * The declarative pipeline of a script: the first at its top, else the first in a method `call`. Undefined when there
 * is none; what is wrong with it is reported.
 */
export function readPipeline(script: Block, reading: Reading): Pipeline | undefined {
  const top = script.statements.find(isPipeline) ?? findInCall(script);
  if (top !== undefined) return readPipelineStep(top, reading);
  for (const statement of script.statements) refuseNested(statement, reading);
  return undefined;
}

function isPipeline(statement: Statement): boolean {
  const call = callOf(statement);
  return call !== undefined && matchName(call) === "pipeline";
}

function findInCall({ statements }: Block): Statement | undefined {
  const method = statements.find((statement) => statement.kind === "method" && statement.name === "call");
  return method?.kind === "method" && method.body !== undefined ? findPipeline(method.body) : undefined;
}

function findPipeline({ statements }: Block): Statement | undefined {
  for (const statement of statements) {
    if (isPipeline(statement)) return statement;
    const inner = blockOf(statement)?.body;
    const blocks = statement.kind === "other" ? statement.blocks : inner === undefined ? [] : [inner];
    for (const block of blocks) {
      const found = findPipeline(block);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function refuseNested(statement: Statement, reading: Reading): void {
  const block = blockOf(statement);
  if (block === undefined) return;
  if (block.name === "pipeline")
    reading.problems.add("pipeline block must be at the top-level, not within another block.", statement.start);
  for (const inner of block.body.statements) refuseNested(inner, reading);
}

function readPipelineStep(statement: Statement, reading: Reading): Pipeline | undefined {
  const { problems } = reading;
  const { start: at } = statement;
  const block = blockOf(statement);
  if (block === undefined) {
    problems.add('Expected a block with the "pipeline" step', at);
    return undefined;
  }
  const pipeline: Mutable<Pipeline> = { at };
  const seen = new Set<string>();
  for (const { name, statement: one } of namedEntries(block.body.statements, reading)) {
    seen.add(name);
    if (!readSection(pipeline, name, { statement: one, reading }))
      problems.add(RENAMED[name] ?? `Undefined section "${name}"`, one.start);
  }
  for (const required of ["stages", "agent"] as const) {
    if (!seen.has(required)) problems.add(`Missing required section "${required}"`, at);
  }
  return pipeline;
}

function readSection(
  pipeline: Mutable<Pipeline>,
  name: string,
  { statement, reading }: { readonly statement: Statement; readonly reading: Reading },
): boolean {
  switch (name) {
    case "stages":
      pipeline.stages = readStages(statement, { section: "stages", isWithinParallel: false }, reading);
      return true;
    case "environment":
      pipeline.environment = readEnvironment(statement, reading);
      return true;
    case "post":
      pipeline.post = readPost(statement, reading);
      return true;
    case "agent": {
      const agent = readAgent(statement, reading);
      if (agent !== undefined) pipeline.agent = agent;
      return true;
    }
    case "tools":
      pipeline.tools = readTools(statement, reading);
      return true;
    case "options":
    case "parameters":
    case "triggers":
      pipeline[name] = readCalls(statement, name, reading);
      return true;
    case "libraries":
      pipeline.libraries = readLibraries(statement, reading);
      return true;
    default:
      return false;
  }
}
