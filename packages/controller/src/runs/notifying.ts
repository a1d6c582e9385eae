import { type Job, JobState } from "@kedge/proto";

/** Tells whether a job's receiver has not taken what it is told yet. */
export function isNotifying({ state, spec }: Job): boolean {
  return state === JobState.RUNNING && spec?.work.case === "notify";
}
