import { KedgeError } from "@kedge/domain";

/** A JSON object of unknown content. Only own keys may be read. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Parses JSON. With `exactIntegers`, an integer literal a double cannot hold becomes a BigInt.
 *
 * @throws KedgeError INVALID_FIELD with the parser's complaint.
 */
export function parseJson(text: string, what: string, exactIntegers = false): unknown {
  try {
    return exactIntegers ? JSON.parse(text, exactInteger) : JSON.parse(text);
  } catch (error) {
    const problem = error instanceof Error ? error.message.slice(0, 160) : "cannot be parsed";
    throw new KedgeError("INVALID_FIELD", `${what} is not valid JSON: ${problem}`, { cause: error });
  }
}

function exactInteger(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? "";
  return /^-?\d{1,24}$/.test(source) ? BigInt(source) : value;
}

/** Tells whether a value is a JSON object (not an array, not null). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The own property of an object, or undefined: never something inherited. */
export function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The error for a field that is not what it must be; the value is shown shortened. */
export function fieldError(field: string, expected: string, value: unknown): KedgeError {
  const shown = value === undefined ? "nothing" : shorten(value);
  return new KedgeError("INVALID_FIELD", `${field}: expected ${expected}, got ${shown}`, { field });
}

function shorten(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : String(value);
  return text.slice(0, 90);
}

/** A required object. */
export function objectField(value: unknown, field: string): JsonObject {
  if (!isJsonObject(value)) throw fieldError(field, "an object", value);
  return value;
}

/** A required array with at most `limit` elements. */
export function arrayField(value: unknown, field: string, limit: number): readonly unknown[] {
  if (!Array.isArray(value)) throw fieldError(field, "an array", value);
  if (value.length > limit) throw fieldError(field, `at most ${limit} elements`, value);
  return value;
}

/** A required, non-empty string of at most `limit` characters. */
export function stringField(value: unknown, field: string, limit = 256): string {
  if (typeof value === "string" && value.length > 0 && value.length <= limit) return value;
  throw fieldError(field, `a string of 1 to ${limit} characters`, value);
}

/** A required shape: an array of sizes, each a safe integer of at least 0. */
export function shapeField(value: unknown, field: string, maxRank: number): number[] {
  return arrayField(value, field, maxRank).map((size, index) => {
    if (typeof size === "number" && Number.isSafeInteger(size) && size >= 0) return size;
    throw fieldError(`${field}[${index}]`, "a size of at least 0", size);
  });
}
