import type { Plain } from "../draft.ts";
import { textOf } from "../draft.ts";
import { type Expression, parseExpression } from "./expression.ts";
import { contextText } from "./text.ts";

/** What an `if` became; with a problem, nothing of it may be relied on. */
export interface TranslatedIf {
  readonly runIf?: "always" | "failure";
  readonly when?: Plain;
  /** Why it could not be translated. */
  readonly problem?: string;
}

type Status = "always" | "failure" | "success";

const STATUS: ReadonlySet<string> = new Set(["always", "failure", "success", "cancelled"]);

/** Translates the `if` of a job or step; `jobs` are the names of jobs in the pipeline. */
export function translateIf(source: string, jobs: ReadonlyMap<string, string>): TranslatedIf {
  const inner = /^\s*\$\{\{([\s\S]*)\}\}\s*$/.exec(source)?.[1] ?? source;
  const expression = parseExpression(inner);
  if (expression === undefined) return { problem: `not an expression: ${source.slice(0, 80)}` };
  const parts = conjuncts(expression);
  const statuses = parts.flatMap((part) => statusOf(part) ?? []);
  const rest = parts.filter((part) => statusOf(part) === undefined);
  if (rest.some(callsStatus))
    return { problem: "always(), failure(), success() and cancelled() are known beside &&, or alone" };
  const whens = rest.map((part) => conditionOf(part, jobs));
  const problem = whens.find((when) => typeof when === "string");
  if (typeof problem === "string") return { problem };
  const conditions = whens.filter((when) => typeof when !== "string");
  const [first] = conditions;
  const when = conditions.length > 1 ? { all: conditions } : first;
  const runIf = strictest(statuses);
  return { ...(runIf === undefined ? {} : { runIf }), ...(when === undefined ? {} : { when }) };
}

function conjuncts(expression: Expression): Expression[] {
  if (expression.kind !== "binary" || expression.operator !== "&&") return [expression];
  return [...conjuncts(expression.left), ...conjuncts(expression.right)];
}

/** What a status function, its opposite, or a choice of them asks for; undefined when it is something else. */
function statusOf(expression: Expression): Status | undefined {
  if (expression.kind === "call") {
    const { name } = expression;
    return name === "always" || name === "failure" || name === "success" ? name : undefined;
  }
  if (expression.kind === "not" && expression.of.kind === "call") {
    return ({ cancelled: "always", failure: "success", success: "failure" } as const)[
      expression.of.name as "cancelled"
    ];
  }
  if (expression.kind !== "binary" || expression.operator !== "||") return undefined;
  const [left, right] = [statusOf(expression.left), statusOf(expression.right)];
  if (left === undefined || right === undefined) return undefined;
  return left === right ? left : "always";
}

/** All of them must hold. */
function strictest(statuses: readonly Status[]): "always" | "failure" | undefined {
  if (statuses.includes("failure")) return "failure";
  return statuses.includes("always") && !statuses.includes("success") ? "always" : undefined;
}

function callsStatus(expression: Expression): boolean {
  if (expression.kind === "call") return STATUS.has(expression.name);
  if (expression.kind === "not") return callsStatus(expression.of);
  return expression.kind === "binary" && (callsStatus(expression.left) || callsStatus(expression.right));
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
