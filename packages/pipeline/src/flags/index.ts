export { formatFlag } from "./flag-format.ts";
export { flagJsonSchema } from "./flag-json-schema.ts";
export { type FlagResult, parseFlag } from "./flag-parse.ts";
