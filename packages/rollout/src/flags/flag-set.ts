import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Flag, Flags } from "@kedge/proto";
import type { FlagAttributes } from "./attributes.ts";
import { chooseVariant, type FlagOutcome, type RuleWitness } from "./evaluate.ts";

interface Entry {
  readonly flag: Flag;
  /** By variant, frozen: callers share them. */
  readonly values: ReadonlyMap<string, JsonValue>;
}

/** Flags, ready to be evaluated: a look-up and a few comparisons each. Never changes; a new version is a new set. */
export class FlagSet {
  readonly generation: bigint;
  readonly #entries: ReadonlyMap<string, Entry>;

  constructor({ flags, generation }: Flags) {
    this.generation = generation;
    this.#entries = new Map(flags.map((flag) => [flag.name, { flag, values: valuesOf(flag) }]));
  }

  /** Names of all flags, in the order of the document. */
  get names(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** What somebody gets. Never throws; an unknown flag is the error FLAG_NOT_FOUND. */
  evaluate(name: string, attributes: FlagAttributes, witness?: RuleWitness): FlagOutcome {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      const errorMessage = `no flag is called ${JSON.stringify(name.slice(0, 80))}`;
      return { reason: "ERROR", errorCode: "FLAG_NOT_FOUND", errorMessage };
    }
    const choice = chooseVariant(entry.flag, attributes, witness);
    if (choice.variant === undefined) return choice;
    const value = entry.values.get(choice.variant);
    if (value !== undefined) return { ...choice, value };
    const errorMessage = `flag ${name} has no variant ${choice.variant}`;
    return { reason: "ERROR", errorCode: "GENERAL", errorMessage };
  }
}

function valuesOf(flag: Flag): ReadonlyMap<string, JsonValue> {
  return new Map(
    Object.entries(flag.variants).map(([variant, value]) => [variant, frozen(toJson(ValueSchema, value))]),
  );
}

function frozen(value: JsonValue): JsonValue {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) frozen(inner);
    Object.freeze(value);
  }
  return value;
}
