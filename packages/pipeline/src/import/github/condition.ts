import type { Plain } from "../draft.ts";
import { textOf } from "../draft.ts";
import { type Expression, parseExpression } from "./expression.ts";
import { contextText } from "./text.ts";

/** What an `if` became. */
export interface TranslatedIf {
  readonly runIf?: "always" | "failure";
  readonly when?: Plain;
  /** A part that could not be translated. */
  readonly problem?: string;
}

const STATUS = new Set(["always", "failure", "success", "cancelled"]);

/** Translates the `if` of a job or step; `jobs` are the names of jobs in the pipeline. */
export function translateIf(source: string, jobs: ReadonlyMap<string, string>): TranslatedIf {
  const inner = /^\s*\$\{\{([\s\S]*)\}\}\s*$/.exec(source)?.[1] ?? source;
  const expression = parseExpression(inner);
  if (expression === undefined) return { problem: `not an expression: ${source.slice(0, 80)}` };
  const runIf = statusOf(expression);
  const rest = withoutStatus(expression);
  const status = runIf === undefined ? {} : { runIf };
  if (rest === undefined) return status;
  const when = conditionOf(rest, jobs);
  return typeof when === "string" ? { ...status, problem: when } : { ...status, when };
}

function statusOf(expression: Expression): "always" | "failure" | undefined {
  const names = callsOf(expression);
  if (names.has("always") || names.has("cancelled")) return "always";
  return names.has("failure") ? (names.has("success") ? "always" : "failure") : undefined;
}

function callsOf(expression: Expression): Set<string> {
  if (expression.kind === "call") return new Set([expression.name]);
  if (expression.kind === "not") return callsOf(expression.of);
  if (expression.kind !== "binary") return new Set();
  return new Set([...callsOf(expression.left), ...callsOf(expression.right)]);
}

/** What is left beside always(), failure() and success(); undefined for nothing. */
function withoutStatus(expression: Expression): Expression | undefined {
  if (expression.kind === "call" && STATUS.has(expression.name)) return undefined;
  if (expression.kind === "not") {
    const inner = withoutStatus(expression.of);
    return inner === undefined ? undefined : { kind: "not", of: inner };
  }
  if (expression.kind !== "binary" || !["&&", "||"].includes(expression.operator)) return expression;
  const left = withoutStatus(expression.left);
  const right = withoutStatus(expression.right);
  if (left === undefined || right === undefined) return left ?? right;
  return { ...expression, left, right };
}

/** The condition, or what could not be translated. */
function conditionOf(expression: Expression, jobs: ReadonlyMap<string, string>): Plain | string {
  if (expression.kind === "not") {
    const inner = conditionOf(expression.of, jobs);
    return typeof inner === "string" ? inner : { not: inner };
  }
  if (expression.kind === "call") return callCondition(expression, jobs);
  if (expression.kind === "context") {
    const value = contextText(expression.name, jobs);
    return value === undefined
      ? `${expression.name} is not known here`
      : { not: { values: [{ value, equals: ["", "false", "0"] }] } };
  }
  if (expression.kind === "literal") return { values: [{ value: textOf(expression.value), equals: ["true"] }] };
  const { operator, left, right } = expression;
  if (operator === "&&" || operator === "||") {
    const parts = [conditionOf(left, jobs), conditionOf(right, jobs)];
    const problem = parts.find((part) => typeof part === "string");
    return problem ?? { [operator === "&&" ? "all" : "any"]: parts };
  }
  return comparison(operator, left, right, jobs);
}

function comparison(
  operator: string,
  left: Expression,
  right: Expression,
  jobs: ReadonlyMap<string, string>,
): Plain | string {
  const [context, literal] = left.kind === "literal" ? [right, left] : [left, right];
  if (context.kind !== "context" || literal.kind !== "literal") return "only a context can be compared with a literal";
  const ref = refCondition(context.name, textOf(literal.value ?? ""));
  const value = contextText(context.name, jobs);
  if (ref === undefined && value === undefined) return `${context.name} is not known here`;
  const equals = ref ?? { values: [{ value, equals: [textOf(literal.value ?? "")] }] };
  if (operator === "==") return equals;
  if (operator === "!=") return { not: equals };
  if (typeof literal.value !== "number" || left.kind === "literal") return `${operator} needs a number on its right`;
  const bound = operator.startsWith(">") ? "at-least" : "at-most";
  const within = { values: [{ value, [bound]: literal.value }] };
  return operator.endsWith("=") ? within : { all: [within, { not: equals }] };
}

/** Names of events and refs are others here. */
function refCondition(context: string, literal: string): Plain | undefined {
  if (context === "github.ref" && literal.startsWith("refs/heads/")) return { branch: [escapeGlob(literal.slice(11))] };
  if (context === "github.ref" && literal.startsWith("refs/tags/")) return { tag: [escapeGlob(literal.slice(10))] };
  if (context !== "github.event_name") return undefined;
  const event = EVENTS.get(literal);
  return event === undefined ? undefined : { event: [event] };
}

/** The events of a workflow that there are here. */
export const EVENTS: ReadonlyMap<string, string> = new Map([
  ["push", "push"],
  ["pull_request", "pull-request"],
  ["pull_request_target", "pull-request"],
  ["schedule", "cron"],
  ["workflow_dispatch", "manual"],
  ["workflow_call", "call"],
]);

function callCondition(
  { name, args }: Extract<Expression, { kind: "call" }>,
  jobs: ReadonlyMap<string, string>,
): Plain | string {
  const [subject, what] = args;
  if (!["startswith", "endswith", "contains"].includes(name)) return `${name}() is not known here`;
  if (subject?.kind !== "context" || what?.kind !== "literal") return `${name}() needs a context and a literal`;
  const text = escapeGlob(textOf(what.value));
  const glob = name === "startswith" ? `${text}**` : name === "endswith" ? `**${text}` : `**${text}**`;
  if (subject.name === "github.ref" && name === "startswith") {
    const [, kind, rest] = /^refs\/(heads|tags)\/(.*)$/.exec(textOf(what.value)) ?? [];
    if (kind !== undefined) return { [kind === "heads" ? "branch" : "tag"]: [`${escapeGlob(rest ?? "")}**`] };
  }
  const value = contextText(subject.name, jobs);
  return value === undefined ? `${subject.name} is not known here` : { values: [{ value, glob: [glob] }] };
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[{]/g, (char) => (char === "[" ? "[[]" : `[${char}]`)).replace(/^!/, "[!]");
}
