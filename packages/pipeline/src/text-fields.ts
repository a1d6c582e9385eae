import type { Path } from "./finding.ts";

const TEXT_MAPS: ReadonlySet<string | number> = new Set(["env", "args", "runs-on", "on"]);
const TEXT_FIELDS: ReadonlySet<string | number> = new Set(["version", "ref", "default"]);
const TEXT_LISTS: ReadonlySet<string | number> = new Set(["choices", "tags", "values", "prefixes"]);

/** Scalars that are text however they look: PYTHON: 3.10 means "3.10". */
export function isTextField(path: Path): boolean {
  const key = path.at(-1) ?? "";
  const parent = path.at(-2) ?? "";
  const isNamedSo = path.at(-3) === "jobs" || path.at(-3) === "parameters";
  return TEXT_FIELDS.has(key) || (!isNamedSo && (TEXT_MAPS.has(parent) || TEXT_LISTS.has(parent)));
}
