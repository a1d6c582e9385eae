import { regexProblem } from "../../../regex.ts";
import type { Expression } from "../groovy/nodes.ts";
import type { Condition, When } from "../model/model.ts";
import { argument, literalText } from "./arguments.ts";
import type { WhenDraft } from "./draft.ts";
import { run, type Scope } from "./scope.ts";
import { literal, partsOf } from "./text.ts";

/** A condition of kedge.yaml, or what keeps it from being one. */
export type ConvertedWhen = { readonly when: WhenDraft } | { readonly reason: string; readonly at: number };

const EVENTS: Readonly<Record<string, readonly string[]>> = {
  TimerTrigger: ["cron"],
  ParameterizedTimerTriggerCause: ["cron"],
  SCMTrigger: ["push", "poll"],
  UserIdCause: ["manual"],
  UpstreamCause: ["call"],
  BuildUpstreamCause: ["call"],
};
/** Conditions of kedge.yaml nest so deep. */
const MAX_DEPTH = 3;

/** The conditions of a stage and of those around it; all must hold. */
export function convertWhen(whens: readonly When[], scope: Scope): ConvertedWhen {
  const all: WhenDraft[] = [];
  for (const { conditions, at } of whens) {
    for (const condition of conditions) {
      const converted = convertCondition(condition, scope);
      if (typeof converted === "string") return { reason: converted, at: condition.at };
      all.push(converted);
    }
    if (conditions.length === 0) return { reason: "there is no condition", at };
  }
  const when = conjunction(all);
  const deepest = depth(when);
  if (deepest > MAX_DEPTH) return { reason: `the conditions nest ${deepest} deep`, at: whens[0]?.at ?? 0 };
  return { when };
}

/** All of them, without a level of its own where their keys differ. */
function conjunction(all: readonly WhenDraft[]): WhenDraft {
  const flat = all.flatMap((one) => (Object.keys(one).join() === "all" ? (one.all ?? []) : [one]));
  const merged: WhenDraft = {};
  for (const one of flat) {
    if (Object.keys(one).some((key) => key !== "values" && Object.hasOwn(merged, key))) return { all: flat };
    const values = [...(merged.values ?? []), ...(one.values ?? [])];
    Object.assign(merged, one, values.length > 0 ? { values } : {});
  }
  return merged;
}

function depth({ all = [], any = [], not }: WhenDraft): number {
  const inner = [...all, ...any, ...(not === undefined ? [] : [not])];
  return 1 + Math.max(0, ...inner.map(depth));
}

/** A condition, or why there is none like it. */
function convertCondition(condition: Condition, scope: Scope): WhenDraft | string {
  const { name, args = { kind: "named", entries: [] } as const, children = [], code } = condition;
  const text = (key: string, fallback?: string) => scope.textOf(partsOf(argument(args, key, fallback)));
  const comparator = literalText(argument(args, "comparator"))?.toUpperCase() ?? "GLOB";
  switch (name) {
    case "allOf":
    case "anyOf":
    case "not":
      return convertNested(name, children, scope);
    case "expression":
      return convertCode(code?.body.statements ?? [], scope);
    case "branch":
      return matching(run("branch"), { pattern: text("pattern", "pattern"), comparator, key: "branch" });
    case "tag":
      return argument(args, "pattern", "pattern") === undefined
        ? isSet(run("tag"))
        : matching(run("tag"), { pattern: text("pattern", "pattern"), comparator, key: "tag" });
    case "buildingTag":
      return isSet(run("tag"));
    case "changeset": {
      const glob = argument(args, "glob", "glob") ?? argument(args, "pattern", "pattern");
      return matching(run("changed"), { pattern: scope.textOf(partsOf(glob)), comparator, key: "changed" });
    }
    case "changeRequest":
      return changeRequest(condition, text, comparator);
    case "environment": {
      const value = text("value");
      const known = scope.get(literalText(argument(args, "name")) ?? "");
      if (known === undefined || value === undefined) return "the variable is known only when a script runs";
      const ignoreCase = argument(args, "ignoreCase");
      if (ignoreCase?.kind !== "constant" || ignoreCase.value !== true) return equal(known, value);
      return { values: [{ value: known, matches: `(?i)^${escapeRegex(value)}$` }] };
    }
    case "equals": {
      const [expected, actual] = [text("expected"), text("actual")];
      return expected === undefined || actual === undefined
        ? "a side of it takes Groovy to know"
        : equal(actual, expected);
    }
    case "triggeredBy": {
      const cause = literalText(argument(args, "cause")) ?? literalText(argument(args, "type", "type")) ?? "";
      const event = argument(args, "detail") === undefined ? EVENTS[cause] : undefined;
      return event === undefined ? `Kedge does not tell the cause ${cause}` : { event: [...event] };
    }
    default:
      return `there is nothing like the condition ${name}`;
  }
}

function convertNested(
  name: "allOf" | "anyOf" | "not",
  children: readonly Condition[],
  scope: Scope,
): WhenDraft | string {
  const inner: WhenDraft[] = [];
  for (const child of children) {
    const converted = convertCondition(child, scope);
    if (typeof converted === "string") return converted;
    inner.push(converted);
  }
  const [only] = inner;
  if (name === "not") return only === undefined ? "there is no condition" : { not: only };
  if (name === "allOf") return conjunction(inner);
  return inner.length === 1 && only !== undefined ? only : { any: inner };
}

function changeRequest(
  { args }: Condition,
  text: (key: string) => string | undefined,
  comparator: string,
): WhenDraft | string {
  const fields = args?.kind === "named" ? args.entries.map(({ key }) => key).filter((key) => key !== "comparator") : [];
  const isChange: WhenDraft = { event: ["pull-request"] };
  const [field] = fields;
  if (field === undefined) return isChange;
  const value = { target: run("base_branch"), branch: run("branch"), id: run("pull_request") }[field];
  if (value === undefined || fields.length > 1)
    return `Kedge does not know the ${fields.join(" and ")} of a pull request`;
  const exact = comparator === "GLOB" && argument(args ?? { kind: "named", entries: [] }, "comparator") === undefined;
  const match = matching(value, { pattern: text(field), comparator: exact ? "EQUALS" : comparator });
  return typeof match === "string" ? match : conjunction([isChange, match]);
}

function matching(
  value: string,
  { pattern, comparator, key }: { pattern: string | undefined; comparator: string; key?: "branch" | "tag" | "changed" },
): WhenDraft | string {
  if (pattern === undefined) return "its pattern is known only when a script runs";
  if (pattern === "") return key === "tag" ? isSet(value) : "its pattern is empty";
  if (comparator === "EQUALS") return equal(value, pattern);
  if (comparator === "REGEXP") {
    const whole = `^(?:${pattern})$`;
    const problem = regexProblem(whole);
    return problem === undefined
      ? { values: [{ value, matches: whole }] }
      : `the expression is not one of RE2: ${problem}`;
  }
  return key === undefined ? { values: [{ value, glob: pattern }] } : { [key]: [pattern] };
}

const equal = (value: string, expected: string): WhenDraft => ({ values: [{ value, equals: [expected] }] });
const isSet = (value: string): WhenDraft => ({ values: [{ value, matches: "." }] });
const escapeRegex = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");

type Statements = readonly { readonly kind: string; readonly expression?: Expression }[];

function convertCode(statements: Statements, scope: Scope): WhenDraft | string {
  const [only] = statements;
  const reason = "it takes Groovy to know; write it with when, or as a step that reports an output";
  if (statements.length !== 1 || only?.expression === undefined) return reason;
  return convertExpression(only.expression, scope) ?? reason;
}

/** Comparisons of known values, joined by && and ||. */
function convertExpression(expression: Expression, scope: Scope): WhenDraft | undefined {
  if (expression.kind !== "binary") return truth(expression, scope);
  const { operator, left, right } = expression;
  if (operator === "&&" || operator === "||") {
    const [a, b] = [convertExpression(left, scope), convertExpression(right, scope)];
    if (a === undefined || b === undefined) return undefined;
    return operator === "&&"
      ? conjunction([a, b])
      : { any: [a, b].flatMap((it) => (Object.keys(it).join() === "any" ? (it.any ?? []) : [it])) };
  }
  return comparison(operator, { left, right }, scope);
}

function comparison(
  operator: string,
  { left, right }: { readonly left: Expression; readonly right: Expression },
  scope: Scope,
): WhenDraft | undefined {
  const value = scope.textOf(partsOf(left));
  const other = scope.textOf(partsOf(right));
  if (value === undefined || other === undefined) return undefined;
  if (operator === "==") return left.kind === "constant" ? equal(other, value) : equal(value, other);
  if (operator === "!=") return { not: equal(value, other) };
  if (operator !== "==~" && operator !== "=~") return undefined;
  const pattern = operator === "==~" ? `^(?:${other})$` : other;
  return regexProblem(pattern) === undefined ? { values: [{ value, matches: pattern }] } : undefined;
}

/** `params.X` alone: a boolean is true, a text is not empty. */
function truth(expression: Expression, scope: Scope): WhenDraft | undefined {
  if (expression.kind === "constant" && typeof expression.value === "boolean")
    return equal(literal(String(expression.value)), "true");
  if (expression.kind === "not") {
    const inner = convertExpression(expression.operand, scope);
    return inner === undefined ? undefined : { not: inner };
  }
  const value = expression.kind === "property" ? scope.textOf(partsOf(expression)) : undefined;
  return value === undefined ? undefined : { not: { values: [{ value, equals: ["", "false"] }] } };
}
