import { asList, asPlain, asTexts, isPlain, type Plain, textOf } from "../draft.ts";
import { runFieldOf } from "./variables.ts";

/** When a job runs, as far as it could be told. */
export interface TranslatedRules {
  readonly when?: Plain;
  readonly runIf?: "always" | "failure";
  readonly isManual: boolean;
  readonly allowsFailure: boolean;
  /** Parts that have no counterpart. */
  readonly problems: readonly string[];
  /** It never runs. */
  readonly isNever: boolean;
}

const EVENTS: Readonly<Record<string, string>> = {
  push: "push",
  merge_request_event: "pull-request",
  schedule: "cron",
  web: "manual",
  api: "manual",
  trigger: "manual",
  pipeline: "call",
  parent_pipeline: "call",
};
const REF_EVENTS: Readonly<Record<string, Plain>> = {
  branches: { not: { branch: [""] } },
  tags: { tag: ["**"] },
  merge_requests: { event: ["pull-request"] },
  schedules: { event: ["cron"] },
  pushes: { event: ["push", "tag"] },
  web: { event: ["manual"] },
  api: { event: ["manual"] },
  pipelines: { event: ["call"] },
};

/** Translates `rules`, or `only` and `except`, and `when`. */
export function translateRules(job: Plain): TranslatedRules {
  const whenOf = textOf(job["when"] ?? "on_success");
  const base = { allowsFailure: false, problems: [], isNever: whenOf === "never", ...statusOf(whenOf) };
  if (Array.isArray(job["rules"])) return { ...base, ...rulesOf(job["rules"]) };
  const { condition, problems } = onlyExcept(job);
  return { ...base, problems, ...(condition === undefined ? {} : { when: condition }) };
}

function statusOf(when: string): Pick<TranslatedRules, "isManual" | "runIf"> {
  if (when === "always") return { isManual: false, runIf: "always" };
  if (when === "on_failure") return { isManual: false, runIf: "failure" };
  return { isManual: when === "manual" };
}

/** The first rule that fits decides: a rule counts where none before it does. */
function rulesOf(rules: readonly unknown[]): Partial<TranslatedRules> & Pick<TranslatedRules, "problems"> {
  const problems: string[] = [];
  const before: Plain[] = [];
  const ways: Plain[] = [];
  let isOpen = false;
  const taken: Plain[] = [];
  for (const rule of rules.flat()) {
    const fields = asPlain(rule);
    const condition = ruleCondition(fields, problems);
    const excluded = before.map((it) => ({ not: it }));
    if (fields["when"] !== "never") {
      taken.push(fields);
      if (condition === undefined && excluded.length === 0) isOpen = true;
      else ways.push({ all: [...excluded, ...(condition === undefined ? [] : [condition])] });
    }
    if (condition === undefined) break;
    before.push(condition);
  }
  const kinds = new Set(taken.map((rule) => textOf(rule["when"] ?? "on_success")));
  if (kinds.size > 1) problems.push(`when differs from rule to rule (${[...kinds].join(", ")})`);
  const [first = {}] = taken;
  const status = statusOf(textOf(first["when"] ?? "on_success"));
  const found = { ...status, allowsFailure: taken.some((rule) => rule["allow_failure"] === true), problems };
  if (isOpen) return found;
  if (ways.length === 0) return { ...found, isNever: true };
  return { ...found, when: flat(ways.length === 1 ? (ways[0] ?? {}) : { any: ways }) };
}

/** Conditions nest three deep: what holds one thing only is that thing. */
function flat(condition: Plain): Plain {
  const all = condition["all"];
  if (Array.isArray(all) && all.length === 1) return flat(asPlain(all[0]));
  const parts = condition["any"];
  return Array.isArray(parts) ? { any: parts.map((part) => flat(asPlain(part))) } : condition;
}

function ruleCondition(rule: Plain, problems: string[]): Plain | undefined {
  const changes = isPlain(rule["changes"]) ? asPlain(rule["changes"])["paths"] : rule["changes"];
  const parts: Plain[] = [];
  if (rule["if"] !== undefined) parts.push(...translateIf(textOf(rule["if"]), problems));
  if (changes !== undefined) parts.push({ changed: asTexts(changes) });
  if (rule["exists"] !== undefined) problems.push("exists: looks at files before there is a workspace");
  const [first] = parts;
  if (first === undefined) return undefined;
  return parts.length === 1 ? first : { all: parts };
}

/** `a == "b" && c =~ /d/ || ...`, without parentheses; what is not understood is said. */
function translateIf(source: string, problems: string[]): Plain[] {
  const ways = source.split("||").map((way) => {
    const parts = way.split("&&").map((part) => comparison(part.trim().replace(/^\((.*)\)$/, "$1")));
    return parts.includes(undefined) ? undefined : parts.filter(isPlain);
  });
  if (ways.includes(undefined)) {
    problems.push(`if: ${source.slice(0, 120)}`);
    return [];
  }
  const all = ways.map((parts = []): Plain => {
    const [first] = parts;
    return parts.length === 1 && first !== undefined ? first : { all: parts };
  });
  return all.length === 1 ? all : [{ any: all }];
}

function comparison(source: string): Plain | undefined {
  const match =
    /^\$(\w+)\s*(?:(==|!=|=~|!~)\s*(?:"([^"]*)"|'([^']*)'|\/((?:[^/\\]|\\.)*)\/[a-z]*|(null)|\$(\w+)))?$/.exec(source);
  const [, name = "", operator, double, single, regex, isNull, other] = match ?? [];
  if (match === null) return undefined;
  const literal = double ?? single ?? (isNull === undefined ? undefined : "");
  const value = runFieldOf(name);
  if (other === "CI_DEFAULT_BRANCH" && name === "CI_COMMIT_BRANCH")
    return negated(operator, { branch: ["main", "master"] });
  if (value === undefined || other !== undefined) return undefined;
  if (operator === undefined) return { not: { values: [{ value, equals: [""] }] } };
  if (regex !== undefined) return negated(operator, { values: [{ value, matches: regex.replaceAll("\\/", "/") }] });
  if (literal === undefined) return undefined;
  if (name === "CI_PIPELINE_SOURCE") {
    const event = Object.hasOwn(EVENTS, literal) ? EVENTS[literal] : undefined;
    return event === undefined ? undefined : negated(operator, { event: event === "push" ? ["push", "tag"] : [event] });
  }
  return negated(operator, { values: [{ value, equals: [literal] }] });
}

function negated(operator: string | undefined, condition: Plain): Plain {
  return operator?.startsWith("!") ? { not: condition } : condition;
}

function onlyExcept(job: Plain): { condition?: Plain; problems: string[] } {
  const problems: string[] = [];
  const only = refsCondition(job["only"], problems);
  const except = refsCondition(job["except"], problems);
  const parts = [...(only === undefined ? [] : [only]), ...(except === undefined ? [] : [{ not: except }])];
  const [first] = parts;
  if (first === undefined) return { problems };
  return { condition: parts.length === 1 ? first : { all: parts }, problems };
}

function refsCondition(value: unknown, problems: string[]): Plain | undefined {
  if (value === undefined) return undefined;
  const fields = isPlain(value) ? value : { refs: value };
  const refs = asTexts(fields["refs"]).map((ref) => refCondition(ref));
  const parts: Plain[] = [];
  if (refs.length > 0) parts.push(refs.length === 1 ? (refs[0] ?? {}) : { any: refs });
  if (fields["changes"] !== undefined) parts.push({ changed: asTexts(fields["changes"]) });
  for (const text of asTexts(fields["variables"])) parts.push(...translateIf(text, problems));
  if (fields["kubernetes"] !== undefined) problems.push("kubernetes");
  const [first] = parts;
  return parts.length > 1 ? { all: parts } : first;
}

function refCondition(ref: string): Plain {
  const known = Object.hasOwn(REF_EVENTS, ref) ? REF_EVENTS[ref] : undefined;
  if (known !== undefined) return known;
  const regex = /^\/(.*)\/[a-z]*$/.exec(ref)?.[1];
  const value = `\${{ run.ref }}`;
  return regex === undefined ? { branch: [ref] } : { values: [{ value, matches: regex.replaceAll("\\/", "/") }] };
}

/** The rules of a job as a list, for those who look for something in them. */
export function ruleList(job: Plain): readonly Plain[] {
  return asList(job["rules"]).flat().map(asPlain);
}
