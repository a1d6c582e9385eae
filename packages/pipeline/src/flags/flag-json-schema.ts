import { z } from "zod";
import { flagSchema } from "./flag-schema.ts";

/** The JSON Schema (draft 2020-12) of a feature flag's file, for editors. */
export function flagJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(flagSchema, { io: "input" }), title: "Kedge feature flag" };
}
