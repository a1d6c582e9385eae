import { timestampMs } from "@bufbuild/protobuf/wkt";
import { JobState, type Run, type StepStatus } from "@kedge/proto";
import { enumName, formatSpan, safeText } from "./text.ts";

/** A step of a job, and whether its lines are shown. */
export interface FoldedStep {
  readonly job: string;
  readonly step: string;
  readonly header: string;
  readonly isOpen: boolean;
}

/** The steps of a run as headers with state and duration; those that failed, or all, are open. */
export function foldedSteps(run: Run, opens: "failed" | "all"): FoldedStep[] {
  return run.jobs.flatMap(({ spec, steps }) => {
    const job = spec?.name ?? "";
    return steps.map((status) => {
      const isOpen = opens === "all" || status.state === JobState.FAILED;
      return { job, step: status.name, header: headerOf(job, status, isOpen), isOpen };
    });
  });
}

function headerOf(job: string, { name, state, startedAt, finishedAt }: StepStatus, isOpen: boolean): string {
  const took =
    startedAt === undefined || finishedAt === undefined
      ? ""
      : `  ${formatSpan(timestampMs(finishedAt) - timestampMs(startedAt))}`;
  return safeText(`${isOpen ? "v" : ">"} ${job}/${name}  ${enumName(JobState, state)}${took}`);
}
