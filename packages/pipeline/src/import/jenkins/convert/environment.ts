import type { Environment } from "../model/model.ts";
import { literalText } from "./arguments.ts";
import { isVariable } from "./credentials.ts";
import type { Job } from "./job.ts";
import type { Report } from "./report.ts";
import { Scope } from "./scope.ts";
import { partsOf, shellWord } from "./text.ts";

const MAX_VALUE = 4096;

/** An `environment` section: what jobs or steps are given. */
export interface ConvertedEnvironment {
  readonly env: Readonly<Record<string, string>>;
  readonly scope: Scope;
  /** Gives a job the secrets. */
  give(job: Job): void;
}

/** Variables with known values, variables that a shell must work out, and secrets. */
export function convertEnvironment(
  environment: Environment | undefined,
  outer: Scope,
  { report, source }: { readonly report: Report; readonly source: string },
): ConvertedEnvironment {
  const env: Record<string, string> = {};
  const exports: string[] = [];
  const secrets: ((job: Job) => void)[] = [];
  const known = new Map<string, string>();
  const scope = new Scope(outer, known);
  for (const { key, value, at } of environment?.entries ?? []) {
    if (value.kind === "call") {
      const [id] = value.args;
      const name = id?.kind === "value" ? literalText(id.expression) : undefined;
      if (name === undefined || !isVariable(key))
        report.unsupported(at, key, "the credentials are known only when the script runs");
      else secrets.push(credentials({ key, id: name, at }, { report, source }));
      continue;
    }
    const parts = partsOf(value.expression);
    const text = shortText(scope.textOf(parts));
    if (parts === undefined || !isVariable(key)) {
      report.unsupported(at, `environment ${key}`, "its value takes Groovy to know: set it in a step");
    } else if (text !== undefined) {
      env[key] = text;
      known.set(key, text);
      report.exact(at, `environment ${key}`, "a variable");
    } else {
      exports.push(`export ${key}=${shellWord(parts)}`);
      report.exact(at, `environment ${key}`, "a variable that each script sets first");
    }
  }
  return {
    env,
    scope: exports.length === 0 ? scope : new Scope(scope, new Map(), exports),
    give: (job) => {
      for (const give of secrets) give(job);
    },
  };
}

/** Values that are made of each other grow fast: long ones are left to the shell. */
function shortText(text: string | undefined): string | undefined {
  return text === undefined || text.length > MAX_VALUE ? undefined : text;
}

/** Which parts of credentials are wanted shows in the names that the file uses. */
function credentials(
  { key, id, at }: { readonly key: string; readonly id: string; readonly at: number },
  { report, source }: { readonly report: Report; readonly source: string },
): (job: Job) => void {
  const parts = ["_USR", "_PSW"].filter((suffix) => new RegExp(`\\b${key}${suffix}\\b`).test(source));
  const isWhole = parts.length === 0 || new RegExp(`\\$\\{?(?:env\\.)?${key}\\b`).test(source);
  const names = [...(isWhole ? [""] : []), ...parts];
  const shown = names.map((suffix) => `${id}${suffix}`).join(", ");
  report.exact(at, `${key} = credentials('${id}')`, `secrets of the jobs; create them: ${shown}`);
  return (job) => {
    for (const suffix of names) job.addSecret(`${id}${suffix}`, `${key}${suffix}`);
  };
}
