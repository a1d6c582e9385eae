import type { Block, Closure, Statement } from "../groovy/nodes.ts";
import { blockOf, callOf, matchText, type Reading, readText } from "./match.ts";
import type { Agent, AgentField } from "./model.ts";
import { AGENTS, BARE_AGENTS, OPEN_AGENTS } from "./registry.ts";
import { readOnly } from "./sections.ts";
import { readValue } from "./values.ts";

const ONLY_THESE = 'Only "agent none", "agent any" or "agent {...}" are allowed.';
const AGENT_TYPES = `[${[...BARE_AGENTS, ...AGENTS.keys()].sort().join(", ")}]`;

/** An `agent` section; undefined when it says nothing that could be used, which is reported. */
export function readAgent(statement: Statement, reading: Reading): Agent | undefined {
  const block = blockOf(statement);
  return block === undefined ? readBareAgent(statement, reading) : readAgentBlock(statement.start, block.body, reading);
}

function readBareAgent(statement: Statement, reading: Reading): Agent | undefined {
  const { problems } = reading;
  const { start: at } = statement;
  const call = callOf(statement);
  const [only] = call?.args ?? [];
  if (call === undefined) problems.add("Expected an agent", at);
  else if (only === undefined) problems.add("No argument for agent", at);
  else {
    const type = call.args.length === 1 ? matchText(only) : undefined;
    if (type !== undefined && BARE_AGENTS.has(type)) return { type, at };
    problems.add(ONLY_THESE, at);
  }
  return undefined;
}

function readAgentBlock(at: number, { statements }: Block, reading: Reading): Agent | undefined {
  const { problems } = reading;
  const [first, second] = statements;
  if (first === undefined) {
    problems.add(`No agent type specified. Must be one of ${AGENT_TYPES}`, at);
    return undefined;
  }
  if (second !== undefined) {
    problems.add("Only one agent type is allowed per agent section", at);
    return undefined;
  }
  const call = callOf(first);
  const type = call === undefined ? "" : readText(call.method, reading);
  if (call === undefined) {
    problems.add("Expected an agent", first.start);
    return undefined;
  }
  if (BARE_AGENTS.has(type) && call.args.length === 0) return { type, at };
  const missing = { none: `No argument for map key "${type}"`, many: `Too many arguments for map key "${type}"` };
  const only = readOnly(call, missing, reading);
  if (only === undefined) return undefined;
  const agent: Agent =
    only.kind === "closure"
      ? { type: type === "label" ? "node" : type, fields: readFields(only, reading), at }
      : { type, argument: readValue(only, reading), at };
  checkAgent(agent, call.start, reading);
  return agent;
}

function readFields({ body }: Closure, reading: Reading): readonly AgentField[] {
  return body.statements.flatMap((statement): AgentField[] => {
    const call = callOf(statement);
    if (call === undefined) {
      reading.problems.add('Expected to find ‘someKey "someValue"’', statement.start);
      return [];
    }
    const key = readText(call.method, reading);
    const missing = { none: `No argument for map key "${key}"`, many: `Too many arguments for map key "${key}"` };
    const only = readOnly(call, missing, reading);
    if (only === undefined) return [];
    const value = only.kind === "closure" ? readFields(only, reading) : readValue(only, reading);
    return [{ key, value, at: statement.start }];
  });
}

function checkAgent({ type, fields, argument }: Agent, at: number, { problems }: Reading): void {
  const known = AGENTS.get(type);
  if (BARE_AGENTS.has(type) || OPEN_AGENTS.has(type)) return;
  if (known === undefined) {
    problems.add(`Invalid agent type "${type}" specified. Must be one of ${AGENT_TYPES}`, at);
    return;
  }
  if (fields === undefined) {
    if (known.required.length > 1) {
      const needed = `[${known.required.join(", ")}]`;
      problems.add(
        `Multiple parameters are required for agent type "${type}" - ${needed}. Please use a block instead.`,
        at,
      );
    }
    if (type === "dockerfile") checkFileName(argument, problems);
    return;
  }
  for (const name of known.required) {
    if (!fields.some(({ key }) => key === name))
      problems.add(`Missing required parameter for agent type "${type}": ${name}`, at);
  }
  for (const { key, value, at: place } of fields) {
    if (!known.fields.includes(key))
      problems.add(
        `Invalid config option "${key}" for agent type "${type}". Valid config options are [${known.fields.join(", ")}]`,
        place,
      );
    if (type === "dockerfile" && key === "filename" && "kind" in value) checkFileName(value, problems);
  }
}

function checkFileName(value: Agent["argument"], problems: Reading["problems"]): void {
  if (value?.isLiteral === true && typeof value.value === "string" && /[/\\]/.test(value.value))
    problems.add("Dockerfile filename cannot contain directory separators.", value.at);
}
