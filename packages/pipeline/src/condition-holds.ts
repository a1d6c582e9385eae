import { type Condition, type ValueCondition, ValueOperator } from "@kedge/proto";
import { RE2JS } from "re2js";
import { quote } from "./finding.ts";
import { fitsGlobs } from "./glob.ts";
import { type ResolveContext, resolveText } from "./resolve.ts";

/** Whether a condition holds; if not, what does not, for people. */
export type ConditionOutcome = { readonly holds: true } | { readonly holds: false; readonly reason: string };

const HOLDS: ConditionOutcome = { holds: true };
const CHANGED = `\${{ run.changed }}`;

/**
 * Tells whether the condition of a job holds, once its needs have ended. A value with several lines is a list: one entry that
 * fits is enough. Changed files that are not known count as fitting.
 *
 * @throws KedgeError INVALID_PIPELINE when it asks for a value that was not reported.
 */
export function conditionHolds({ kind }: Condition, context: ResolveContext): ConditionOutcome {
  switch (kind.case) {
    case "all":
      return kind.value.conditions.map((it) => conditionHolds(it, context)).find((it) => !it.holds) ?? HOLDS;
    case "any": {
      const outcomes = kind.value.conditions.map((it) => conditionHolds(it, context));
      if (outcomes.some((it) => it.holds)) return HOLDS;
      const reasons = outcomes.map((it) => (it.holds ? "" : it.reason));
      return { holds: false, reason: `none of these holds: ${reasons.join("; ")}` };
    }
    case "not":
      if (!conditionHolds(kind.value, context).holds) return HOLDS;
      return { holds: false, reason: "what must not hold does" };
    case "value":
      return valueHolds(kind.value, context);
    default:
      return HOLDS;
  }
}

function valueHolds(condition: ValueCondition, context: ResolveContext): ConditionOutcome {
  const { value, operator, operands } = condition;
  const text = resolveText(value, ["when"], context);
  if (value === CHANGED && text === "") return HOLDS;
  const entries = text.split("\n");
  if (entries.some((entry) => compares(entry, operator, operands))) return HOLDS;
  const shown = value.replaceAll(/\$\{\{\s*|\s*\}\}/g, "");
  return {
    holds: false,
    reason: `${shown} is ${quote(text)}, not ${wanted(operator)} ${operands.map(quote).join(" or ")}`,
  };
}

function compares(entry: string, operator: ValueOperator, operands: readonly string[]): boolean {
  switch (operator) {
    case ValueOperator.GLOB:
      return entry !== "" && fitsGlobs(entry, operands);
    case ValueOperator.MATCHES:
      return operands.some((source) => RE2JS.compile(source).matcher(entry).find());
    case ValueOperator.AT_LEAST:
      return operands.some((operand) => entry.trim() !== "" && Number(entry) >= Number(operand));
    case ValueOperator.AT_MOST:
      return operands.some((operand) => entry.trim() !== "" && Number(entry) <= Number(operand));
    default:
      return operands.includes(entry);
  }
}

function wanted(operator: ValueOperator): string {
  if (operator === ValueOperator.AT_LEAST) return "at least";
  if (operator === ValueOperator.AT_MOST) return "at most";
  return operator === ValueOperator.MATCHES ? "like" : "";
}
