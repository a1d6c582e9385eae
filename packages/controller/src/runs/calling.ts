import { type Job, JobState } from "@kedge/proto";

/** Tells whether a job waits for the run that it called, or is about to call it. It ends when that run has. */
export function isCalling({ state, spec }: Job): boolean {
  return state === JobState.RUNNING && spec?.work.case === "call";
}
