import type { JsonValue } from "@bufbuild/protobuf";
import type { Flag, FlagCondition, FlagRule, FlagSplit } from "@kedge/proto";
import { attributeOf, type FlagAttributes, TARGETING_KEY } from "./attributes.ts";
import { holds } from "./conditions.ts";
import { PLACES, placeOf, variantAt } from "./places.ts";

/** Why a value is what it is, in OpenFeature's words (openfeature.dev/specification/types). */
export type FlagReason = "STATIC" | "DEFAULT" | "TARGETING_MATCH" | "SPLIT" | "DISABLED" | "ERROR";

/** Why there is no value, in OpenFeature's words. */
export type FlagErrorCode =
  | "FLAG_NOT_FOUND"
  | "TYPE_MISMATCH"
  | "TARGETING_KEY_MISSING"
  | "INVALID_CONTEXT"
  | "PROVIDER_NOT_READY"
  | "GENERAL";

/** Which variant somebody gets, and why. */
export interface FlagChoice {
  /** Absent after an error, and of a flag that is off and says nothing for that: the caller's own default counts. */
  readonly variant?: string;
  readonly reason: FlagReason;
  /** Name of the rule that decided. */
  readonly rule?: string;
  readonly errorCode?: FlagErrorCode;
  readonly errorMessage?: string;
}

/** What somebody gets: a choice with the variant's value. */
export interface FlagOutcome extends FlagChoice {
  readonly value?: JsonValue;
}

/** Told of every rule that is looked at: the condition that does not hold, or for a split the place of who asks. */
export type RuleWitness = (rule: FlagRule, seen: { readonly failed?: FlagCondition; readonly place?: number }) => void;

/** Chooses a variant. Depends on its arguments alone. */
export function chooseVariant(flag: Flag, attributes: FlagAttributes, witness?: RuleWitness): FlagChoice {
  if (flag.disabled) return { reason: "DISABLED", ...(flag.offVariant === "" ? {} : { variant: flag.offVariant }) };
  for (const rule of flag.rules) {
    const failed = rule.conditions.find((condition) => !holds(condition, attributes));
    if (failed === undefined) return serve(flag, rule, attributes, witness);
    witness?.(rule, { failed });
  }
  return { variant: flag.defaultVariant, reason: flag.rules.length === 0 ? "STATIC" : "DEFAULT" };
}

function serve(flag: Flag, rule: FlagRule, attributes: FlagAttributes, witness?: RuleWitness): FlagChoice {
  const { name, serve } = rule;
  switch (serve.case) {
    case "variant":
      witness?.(rule, {});
      return { variant: serve.value, reason: "TARGETING_MATCH", rule: name };
    case "split": {
      const value = splitValue(serve.value, attributes);
      if (value === undefined) return missing(serve.value, name);
      const place = placeOf(serve.value.salt || flag.name, value);
      witness?.(rule, { place });
      const variant = variantAt(serve.value.ranges, place);
      if (variant !== undefined) return { variant, reason: "SPLIT", rule: name };
      return failure("GENERAL", `rule ${name} gives place ${place} of ${PLACES} to no variant`, name);
    }
    case undefined:
      return failure("GENERAL", `rule ${name} serves nothing`, name);
    default:
      return serve satisfies never;
  }
}

function splitValue({ by }: FlagSplit, attributes: FlagAttributes): string | undefined {
  const value = attributeOf(attributes, by || TARGETING_KEY);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

function missing({ by }: FlagSplit, rule: string): FlagChoice {
  const isKey = by === "" || by === TARGETING_KEY;
  const message = `rule ${rule} splits by ${by || TARGETING_KEY}, which is not among the attributes`;
  return failure(isKey ? "TARGETING_KEY_MISSING" : "INVALID_CONTEXT", message, rule);
}

function failure(errorCode: FlagErrorCode, errorMessage: string, rule: string): FlagChoice {
  return { reason: "ERROR", errorCode, errorMessage, rule };
}
