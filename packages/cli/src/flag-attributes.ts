import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { TARGETING_KEY } from "@kedge/rollout/flags";
import { InvalidArgumentError } from "commander";

/** Collects `name=text` and `name:=json` into attributes; for commander's option parsers. */
export function flagAttribute(text: string, previous: JsonObject = {}): JsonObject {
  const at = text.indexOf("=");
  const isJson = at > 1 && text[at - 1] === ":";
  const name = text.slice(0, isJson ? at - 1 : at);
  if (at < 1 || name === "") throw new InvalidArgumentError("Expected name=text or name:=json.");
  const value = text.slice(at + 1);
  return { ...previous, [name]: isJson ? parseJson(value) : value };
}

function parseJson(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError(`${JSON.stringify(text)} is not JSON; write name=text for text.`);
  }
}

/** Attributes with who asks. */
export function withKey(attributes: JsonObject, key: string | undefined): JsonObject {
  return key === undefined ? attributes : { ...attributes, [TARGETING_KEY]: key };
}
