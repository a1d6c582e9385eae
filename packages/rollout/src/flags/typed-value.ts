import type { JsonValue } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { FlagType } from "@kedge/proto";
import type { FlagAttributes } from "./attributes.ts";
import type { FlagErrorCode, FlagReason } from "./evaluate.ts";
import type { FlagSet } from "./flag-set.ts";

/** What a program gets that asks for a flag with a value of its own to fall back on. */
export interface FlagDetails<T> {
  readonly value: T;
  readonly variant?: string;
  readonly reason: FlagReason;
  readonly errorCode?: FlagErrorCode;
  readonly errorMessage?: string;
}

/** Values of one type: its name, and the test for it. */
export interface FlagValueType<T extends JsonValue> {
  readonly name: string;
  readonly is: (value: JsonValue) => value is T;
}

/** The types of flags. */
export const FLAG_VALUES = {
  boolean: { name: "boolean", is: (value: JsonValue) => typeof value === "boolean" },
  string: { name: "string", is: (value: JsonValue) => typeof value === "string" },
  number: { name: "number", is: (value: JsonValue) => typeof value === "number" },
  json: { name: "json", is: (value: JsonValue): value is JsonObjectOrList => isJson(value) },
} as const;

type JsonObjectOrList = { [key: string]: JsonValue } | JsonValue[];

function isJson(value: JsonValue): boolean {
  return typeof value === "object" && value !== null;
}

/** Which values a flag of a type may have. */
export function valueKinds(type: FlagType): {
  readonly name: string;
  readonly kinds: readonly Value["kind"]["case"][];
} {
  switch (type) {
    case FlagType.BOOLEAN:
      return { name: "boolean", kinds: ["boolValue"] };
    case FlagType.STRING:
      return { name: "string", kinds: ["stringValue"] };
    case FlagType.NUMBER:
      return { name: "number", kinds: ["numberValue"] };
    case FlagType.JSON:
      return { name: "json", kinds: ["structValue", "listValue"] };
    case FlagType.UNSPECIFIED:
      return { name: "none", kinds: [] };
    default:
      return type satisfies never;
  }
}

/** A question of a program. */
export interface FlagQuestion<T extends JsonValue> {
  readonly name: string;
  readonly type: FlagValueType<T>;
  /** What it gets without a flag, of a flag that is off and names no variant for that, and after an error. */
  readonly fallback: T;
  readonly attributes: FlagAttributes;
}

/** Answers a question; undefined flags are those that never came. Never throws. */
export function askFlag<T extends JsonValue>(flags: FlagSet | undefined, question: FlagQuestion<T>): FlagDetails<T> {
  const { name, type, fallback, attributes } = question;
  if (flags === undefined) {
    const errorMessage = "the flags of this node are not known yet";
    return { value: fallback, reason: "ERROR", errorCode: "PROVIDER_NOT_READY", errorMessage };
  }
  const { value = fallback, rule: _, ...outcome } = flags.evaluate(name, attributes);
  if (type.is(value)) return { ...outcome, value };
  const errorMessage = `flag ${name} is not a ${type.name}`;
  return { value: fallback, reason: "ERROR", errorCode: "TYPE_MISMATCH", errorMessage };
}
