import { toJson } from "@bufbuild/protobuf";
import { timestampDate, timestampMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { type ExplainFlagResponse, type Flag, type FlagChange, type FlagEvaluation, FlagType } from "@kedge/proto";
import { describeFlagChange } from "@kedge/rollout/flags";
import type { View } from "./output.ts";
import type { Table } from "./table.ts";
import { enumName, formatSpan, safeText } from "./text.ts";

/** Flags, one a row. */
export function flagTable(flags: readonly Flag[]): Table {
  return {
    columns: ["FLAG", "TYPE", "STATE", "DEFAULT", "RULES", "GENERATION", "CHANGED", "BY"],
    rows: flags.map((flag) => [
      flag.name,
      enumName(FlagType, flag.type),
      flag.disabled ? "off" : "on",
      flag.defaultVariant,
      flag.rules.map(({ name }) => name).join(",") || "-",
      String(flag.generation),
      flag.updatedAt === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(flag.updatedAt)),
      flag.updatedBy || "-",
    ]),
  };
}

/** What somebody gets, then how it came to that. */
export function flagAnswerView({ evaluation, lines }: ExplainFlagResponse): View {
  const answer = evaluation === undefined ? [] : [answerLine(evaluation)];
  return [...answer, ...lines.map((line) => `  ${safeText(line)}`)];
}

function answerLine({ value, variant, reason, errorCode }: FlagEvaluation): string {
  const shown = value === undefined ? "(the caller's own default)" : JSON.stringify(toJson(ValueSchema, value));
  const why = errorCode === "" ? reason : `${reason} ${errorCode}`;
  return safeText(`${shown}${variant === "" ? "" : `  variant ${variant}`}  ${why}`);
}

/** Lines of the audit trail, one a row. */
export function flagHistoryTable(changes: readonly FlagChange[]): Table {
  return {
    columns: ["AT", "FLAG", "GENERATION", "BY", "WHAT", "WHY"],
    rows: changes.map((change) => [
      change.at === undefined ? "-" : timestampDate(change.at).toISOString(),
      change.flag,
      change.after === undefined ? "-" : String(change.after.generation),
      change.by,
      describeFlagChange(change.before, change.after).join("; "),
      change.reason || "-",
    ]),
  };
}

/** A flag that was changed, in one line. */
export function flagLine(flag: Flag): string {
  const rules = flag.rules.length === 0 ? "" : `, after ${flag.rules.length} rules`;
  const state = flag.disabled
    ? `off: ${flag.offVariant || "the caller's own default"}`
    : `on: ${flag.defaultVariant}${rules}`;
  return safeText(`flag ${flag.name}, generation ${flag.generation}, is ${state}`);
}
