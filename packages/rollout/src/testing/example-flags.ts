import { create, fromJson, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Flag, FlagSchema, type FlagShareSchema, FlagsSchema, FlagType } from "@kedge/proto";
import { withPlaces } from "../flags/changes.ts";
import { FlagSet } from "../flags/flag-set.ts";

type FlagInit = Exclude<MessageInitShape<typeof FlagSchema>, Flag>;

/** A JSON value as a flag holds it. */
export function flagValue(value: JsonValue): Value {
  return fromJson(ValueSchema, value);
}

/** A flag that is on or off, off by default, with its splits laid out. */
export function switchFlag(more: Omit<FlagInit, "$typeName"> = {}, before?: Flag): Flag {
  const variants = { on: flagValue(true), off: flagValue(false) };
  const flag = create(FlagSchema, { name: "dark", type: FlagType.BOOLEAN, variants, defaultVariant: "off", ...more });
  return withPlaces(flag, before);
}

/** A rule for everybody that splits by these shares, in basis points. */
export function splitRule(shares: Readonly<Record<string, number>>, by = "", salt = "") {
  const listed: MessageInitShape<typeof FlagShareSchema>[] = Object.entries(shares).map(([variant, basisPoints]) => ({
    variant,
    basisPoints,
  }));
  return { name: "ramp", serve: { case: "split" as const, value: { shares: listed, by, salt } } };
}

/** A set of these flags. */
export function flagSet(...flags: Flag[]): FlagSet {
  return new FlagSet(create(FlagsSchema, { flags }));
}
