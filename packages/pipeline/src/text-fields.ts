import type { Path } from "./finding.ts";

const TEXT_MAPS: ReadonlySet<string | number> = new Set(["env", "args", "runs-on", "on"]);
const TEXT_FIELDS: ReadonlySet<string | number> = new Set(["version", "ref", "default", "revision", "tag", "branch"]);
const TEXT_LISTS: ReadonlySet<string | number> = new Set([
  "choices",
  "tags",
  "values",
  "prefixes",
  "equals",
  "glob",
  "branches",
  "branch",
  "tag",
  "platforms",
]);

/** Scalars that are text however they look: PYTHON: 3.10 means "3.10". */
export function isTextField(path: Path): boolean {
  const key = path.at(-1) ?? "";
  const parent = path.at(-2) ?? "";
  const isNamedSo = path.at(-3) === "jobs" || path.at(-3) === "parameters";
  if (isMatrixValue(path)) return true;
  return TEXT_FIELDS.has(key) || (!isNamedSo && (TEXT_MAPS.has(parent) || TEXT_LISTS.has(parent)));
}

/** jobs.<job>.matrix.<axis>[i], and jobs.<job>.matrix.include[i].<axis>. */
function isMatrixValue(path: Path): boolean {
  return path[0] === "jobs" && path[2] === "matrix" && path.length >= 5;
}
