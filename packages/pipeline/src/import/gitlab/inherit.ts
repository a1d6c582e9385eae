import { asList, asTexts, isPlain, type Plain, textOf } from "../draft.ts";

/** Keys at the top that are no jobs. */
const RESERVED: ReadonlySet<string> = new Set([
  ...["stages", "variables", "workflow", "include", "default", "image", "services", "cache", "before_script"],
  ...["after_script", "pages-settings", "spec", "types"],
]);
/** Keys that `default`, or the top itself, gives to every job. */
const DEFAULTS = [
  "image",
  "services",
  "cache",
  "before_script",
  "after_script",
  "tags",
  "retry",
  "timeout",
  "interruptible",
  "artifacts",
] as const;
const MAX_DEPTH = 11;

/** Jobs with what they extend and inherit, templates left out; and what could not be found. */
export interface InheritedJobs {
  readonly jobs: ReadonlyMap<string, Plain>;
  readonly problems: readonly { readonly job: string; readonly message: string }[];
}

/** Fills in `extends`, `default` and `!reference` for every job of a file. */
export function inheritedJobs(root: Plain): InheritedJobs {
  const problems: { job: string; message: string }[] = [];
  const defaults = defaultsOf(root);
  const jobs = new Map<string, Plain>();
  for (const [name, body] of Object.entries(root)) {
    if (RESERVED.has(name) || name.startsWith(".") || !isPlain(body)) continue;
    const say = (message: string): unknown => problems.push({ job: name, message });
    const own = extended(body, root, say, 0);
    const inherits = own["inherit"] === undefined || !isPlain(own["inherit"]) || own["inherit"]["default"] !== false;
    jobs.set(name, { ...(inherits ? defaults : {}), ...own });
  }
  return { jobs, problems };
}

function defaultsOf(root: Plain): Plain {
  const given = isPlain(root["default"]) ? root["default"] : {};
  return Object.fromEntries(
    DEFAULTS.flatMap((key): [string, unknown][] => {
      const value = given[key] ?? root[key];
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

function extended(body: Plain, root: Plain, say: (message: string) => unknown, depth: number): Plain {
  let result: Plain = {};
  for (const name of asTexts(body["extends"])) {
    const base = root[name];
    if (!isPlain(base)) say(`extends ${name}, which is not in this file`);
    else if (depth >= MAX_DEPTH) say(`extends ${name} too deeply`);
    else result = merged(result, extended(base, root, say, depth + 1));
  }
  return merged(result, body);
}

/** Mappings are merged, everything else is replaced. */
function merged(base: Plain, over: Plain): Plain {
  const result: Plain = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const known = result[key];
    result[key] = isPlain(known) && isPlain(value) ? merged(known, value) : value;
  }
  return result;
}

/** A script with what `!reference` stands for, as it was read: { "!reference": [job, key] }. */
export function scriptLines(value: unknown, root: Plain, depth = 0): string[] {
  return asList(value).flatMap((line): string[] => {
    if (Array.isArray(line)) return scriptLines(line, root, depth + 1);
    if (!isPlain(line)) return line === null || line === undefined ? [] : [textOf(line)];
    const path = asTexts(line["!reference"]);
    if (path.length === 0 || depth >= MAX_DEPTH) return [];
    const found = path.reduce((at: unknown, key) => (isPlain(at) ? at[key] : undefined), root);
    return scriptLines(found, root, depth + 1);
  });
}
