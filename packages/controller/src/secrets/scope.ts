import { KedgeError } from "@kedge/domain";
import { fitsGlobs } from "@kedge/pipeline";
import type { Job, Run, SecretScope } from "@kedge/proto";
import { isLetIn } from "../runs/beginning.ts";

const MAX_PATTERNS = 50;
const MAX_PATTERN = 200;

/** Why a job of a run may not have a secret of this scope; undefined: it may. */
export function scopeProblem(scope: SecretScope, run: Run, job: Job): string | undefined {
  const { pipelines, environments, branches } = scope;
  const environment = job.spec?.environment ?? "";
  const branch = branchOf(run);
  const is = (value: string): string => (value === "" ? "none" : JSON.stringify(value));
  if (!fits(pipelines, run.pipeline)) return `it is for pipelines ${list(pipelines)}, not ${run.pipeline}`;
  if (!fits(environments, environment)) {
    return `it is for environments ${list(environments)}, and the job's is ${is(environment)}`;
  }
  return fits(branches, branch) ? undefined : `it is for branches ${list(branches)}, and the run's is ${is(branch)}`;
}

/**
 * Why a run gets no secrets at all: its commit is somebody else's, who could have any program print them, and nobody has
 * let just this commit begin. That its sender is trusted is not enough.
 */
export function forkProblem(run: Run): string | undefined {
  if (run.source?.fork !== true) return undefined;
  return isLetIn(run) ? undefined : "the run's commit is from a fork, and nobody has approved it";
}

/** Rejects scopes that cannot be meant. @throws KedgeError INVALID_FIELD. */
export function assertScope(scope: SecretScope): void {
  const { pipelines, environments, branches } = scope;
  for (const [field, patterns] of Object.entries({ pipelines, environments, branches })) {
    const isFine = patterns.every((pattern) => pattern !== "" && pattern !== "!" && pattern.length <= MAX_PATTERN);
    if (patterns.length <= MAX_PATTERNS && isFine) continue;
    throw new KedgeError(
      "INVALID_FIELD",
      `scope.${field}: at most ${MAX_PATTERNS} globs of 1 to ${MAX_PATTERN} characters`,
      {
        field: `scope.${field}`,
      },
    );
  }
}

/** A scope for people. */
export function scopeText(scope: SecretScope | undefined): string {
  const { pipelines = [], environments = [], branches = [] } = scope ?? {};
  const parts = Object.entries({ pipelines, environments, branches }).filter(([, patterns]) => patterns.length > 0);
  return parts.length === 0
    ? "everywhere"
    : parts.map(([what, patterns]) => `${what} ${patterns.join(" ")}`).join(", ");
}

function fits(patterns: readonly string[], value: string): boolean {
  // A list that only takes out would let nothing fit, too: a run without a branch is of no branch.
  return patterns.length === 0 || (value !== "" && fitsGlobs(value, patterns));
}

/** A branch may be called what a tag's full name is; then it goes by its own full name. */
function branchOf({ source }: Run): string {
  if (source === undefined) return "";
  if (source.tag !== "") return `refs/tags/${source.tag}`;
  return source.branch.startsWith("refs/") ? `refs/heads/${source.branch}` : source.branch;
}

function list(patterns: readonly string[]): string {
  return patterns.map((pattern) => JSON.stringify(pattern)).join(", ");
}
