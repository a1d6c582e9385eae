import { create } from "@bufbuild/protobuf";
import { type Flag, FlagsSchema } from "@kedge/proto";
import { attributeOf, type FlagAttributes, TARGETING_KEY } from "./attributes.ts";
import { describeCondition, describeServe } from "./describe.ts";
import type { FlagOutcome, RuleWitness } from "./evaluate.ts";
import { FlagSet } from "./flag-set.ts";
import { PLACES } from "./places.ts";

/** What somebody gets of a flag, and how it came to that, a line each. */
export interface FlagExplanation {
  readonly outcome: FlagOutcome;
  readonly lines: readonly string[];
}

/** Evaluates a flag as `FlagSet.evaluate` does, and tells why. */
export function explainFlag(flag: Flag, attributes: FlagAttributes): FlagExplanation {
  const lines: string[] = [];
  const witness: RuleWitness = (rule, { failed, place }) => {
    if (failed !== undefined) {
      const isKnown = attributeOf(attributes, failed.attribute) !== undefined;
      const why = isKnown ? "does not hold" : "cannot hold: the attribute is absent";
      lines.push(
        `rule ${rule.name}: ${describeCondition(failed)} ${failed.test.case === "exists" ? "does not hold" : why}`,
      );
      return;
    }
    const serve = rule.serve.case === "split" ? rule.serve.value : undefined;
    const at = place === undefined ? "" : `; ${serve?.by || TARGETING_KEY} has place ${place} of ${PLACES}`;
    lines.push(`rule ${rule.name} holds: ${describeServe(rule)}${at}`);
  };
  const outcome = new FlagSet(create(FlagsSchema, { flags: [flag] })).evaluate(flag.name, attributes, witness);
  return { outcome, lines: [...lines, conclusion(outcome)] };
}

function conclusion({ reason, variant, errorMessage }: FlagOutcome): string {
  switch (reason) {
    case "ERROR":
      return `error: ${errorMessage}; the caller's own default counts`;
    case "DISABLED":
      return variant === undefined ? "the flag is off: the caller's own default counts" : `the flag is off: ${variant}`;
    case "STATIC":
      return `the flag has no rules: ${variant}`;
    case "DEFAULT":
      return `no rule holds: ${variant}`;
    case "TARGETING_MATCH":
    case "SPLIT":
      return `served: ${variant}`;
    default:
      return reason satisfies never;
  }
}
