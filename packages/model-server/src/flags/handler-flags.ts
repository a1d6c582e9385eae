import type { JsonValue } from "@bufbuild/protobuf";
import {
  askFlag,
  FLAG_VALUES,
  type FlagAttributes,
  type FlagDetails,
  type FlagSet,
  type FlagValueType,
} from "@kedge/rollout/flags";

/** A value of a json flag. */
export type FlagJson = { [key: string]: JsonValue } | JsonValue[];

/**
 * The node's feature flags, as they were when the request came in. A question costs no I/O and never throws: without
 * the flag, after an error, and of a flag that is off and says nothing for that, the fallback is the answer.
 *
 * Attributes say for whom: `targetingKey` is who it is. `deployment`, `version`, `revision` and `node` are there already,
 * unless the caller's are called so.
 */
export interface HandlerFlags {
  boolean(name: string, fallback: boolean, attributes?: FlagAttributes): boolean;
  string(name: string, fallback: string, attributes?: FlagAttributes): string;
  number(name: string, fallback: number, attributes?: FlagAttributes): number;
  /** The value is frozen. */
  json(name: string, fallback: FlagJson, attributes?: FlagAttributes): FlagJson;
  /** The same with variant, reason and error; the type asked for is the fallback's. */
  details<T extends boolean | string | number | FlagJson>(
    name: string,
    fallback: T,
    attributes?: FlagAttributes,
  ): FlagDetails<boolean | string | number | FlagJson>;
}

/** Makes the flags of one request. */
export function handlerFlags(set: FlagSet | undefined, own: FlagAttributes): HandlerFlags {
  return new RequestFlags(set, own);
}

class RequestFlags implements HandlerFlags {
  readonly #set: FlagSet | undefined;
  readonly #own: FlagAttributes;

  constructor(set: FlagSet | undefined, own: FlagAttributes) {
    this.#set = set;
    this.#own = own;
  }

  boolean(name: string, fallback: boolean, attributes?: FlagAttributes): boolean {
    return this.#ask(FLAG_VALUES.boolean, { name, fallback, attributes }).value;
  }

  string(name: string, fallback: string, attributes?: FlagAttributes): string {
    return this.#ask(FLAG_VALUES.string, { name, fallback, attributes }).value;
  }

  number(name: string, fallback: number, attributes?: FlagAttributes): number {
    return this.#ask(FLAG_VALUES.number, { name, fallback, attributes }).value;
  }

  json(name: string, fallback: FlagJson, attributes?: FlagAttributes): FlagJson {
    return this.#ask(FLAG_VALUES.json, { name, fallback, attributes }).value;
  }

  details(name: string, fallback: boolean | string | number | FlagJson, attributes?: FlagAttributes) {
    if (typeof fallback === "boolean") return this.#ask(FLAG_VALUES.boolean, { name, fallback, attributes });
    if (typeof fallback === "string") return this.#ask(FLAG_VALUES.string, { name, fallback, attributes });
    if (typeof fallback === "number") return this.#ask(FLAG_VALUES.number, { name, fallback, attributes });
    return this.#ask(FLAG_VALUES.json, { name, fallback, attributes });
  }

  #ask<T extends JsonValue>(type: FlagValueType<T>, { name, fallback, attributes }: Asked<T>): FlagDetails<T> {
    const all = attributes === undefined ? this.#own : { ...this.#own, ...attributes };
    return askFlag(this.#set, { name: String(name), type, fallback, attributes: all });
  }
}

interface Asked<T> {
  readonly name: string;
  readonly fallback: T;
  readonly attributes: FlagAttributes | undefined;
}
