import type { JobSpec } from "@kedge/proto";

/** What an ended job reported. */
export interface JobResult {
  readonly outputs: Readonly<Record<string, string>>;
  readonly metrics: Readonly<Record<string, number>>;
}

/** What late-bound expressions are looked up in. */
export interface ResolveContext {
  /** Ended jobs by name. */
  readonly jobs: ReadonlyMap<string, JobResult>;
  readonly run: { readonly id: string; readonly commit: string; readonly ref: string };
}

/**
 * Fills the late-bound expressions of a job that is about to start.
 *
 * @throws KedgeError INVALID_PIPELINE when a job has not reported a value that is asked for.
 */
export function resolveJob(spec: JobSpec, _context: ResolveContext): JobSpec {
  return spec;
}
