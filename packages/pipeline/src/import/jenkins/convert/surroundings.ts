import type { When } from "../model/model.ts";
import type { Place } from "./agents.ts";
import type { JobDraft } from "./draft.ts";
import type { Job } from "./job.ts";
import type { Scope } from "./scope.ts";
import type { ConvertedOptions } from "./triggers.ts";

/** What jobs a job waits for. */
export interface Need {
  readonly job: string;
  /** It may be skipped. */
  readonly optional: boolean;
}

/** What stages take over from what is around them. */
export interface Surroundings {
  readonly place: Place;
  readonly whens: readonly When[];
  readonly scope: Scope;
  readonly env: Readonly<Record<string, string>>;
  readonly give: readonly ((job: Job) => void)[];
  readonly options: ConvertedOptions;
  /** Fields of every job, e.g. those of a matrix. */
  readonly fields: JobDraft;
}

/** How far a sequence of stages has come. */
export interface Progress {
  needs: readonly Need[];
  /** The job that a stage at the same place may add to. */
  open: { readonly job: Job; readonly key: string } | undefined;
  /** Jobs that hold the files of a workspace, by its key. */
  readonly workspaces: Map<string, readonly string[]>;
}

/** The jobs that come before the next one. */
export function needsOf({ needs }: Progress): Pick<JobDraft, "needs"> {
  return needs.length === 0
    ? {}
    : { needs: needs.map(({ job, optional }) => (optional ? { job, optional: true } : job)) };
}

/** A job of its own for each combination, where the stage is in a matrix. */
export function cellsOf({ fields: { matrix } }: Surroundings): Pick<JobDraft, "matrix"> {
  return matrix === undefined ? {} : { matrix };
}

/** Variables, where there are any. */
export function jobEnvironment(env: Readonly<Record<string, string>>): Pick<JobDraft, "env"> {
  return Object.keys(env).length === 0 ? {} : { env: { ...env } };
}

/** Attempts also after steps that failed. */
export function retry(attempts: number): NonNullable<JobDraft["retry"]> {
  return { attempts, rules: [{ on: ["infrastructure", "lost-agent", "exit-code", "timeout", "out-of-memory"] }] };
}
