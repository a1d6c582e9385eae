import type { Post, Step } from "../model/model.ts";
import type { StepDraft } from "./draft.ts";
import type { Job } from "./job.ts";
import type { Report } from "./report.ts";
import type { StepContext } from "./step-context.ts";
import { convertSteps } from "./steps.ts";
import { literal } from "./text.ts";

/** When a condition's steps run; those that Kedge does not tell have none. */
export const OUTCOMES: Readonly<Record<string, "always" | "success" | "failure">> = {
  always: "always",
  success: "success",
  failure: "failure",
  unsuccessful: "failure",
  cleanup: "always",
};

/** Why a condition has no counterpart. */
export const UNKNOWN_OUTCOMES: Readonly<Record<string, string>> = {
  changed: "a run does not know how the one before it ended; route alerts by their start and end instead",
  fixed: "a run does not know how the one before it ended; route alerts by their start and end instead",
  regression: "a run does not know how the one before it ended; route alerts by their start and end instead",
  aborted: "cancelled runs do the steps of always and failure only",
  unstable: "runs are never unstable",
  notBuilt: "runs are never in this state",
};

const FILE_STEPS: ReadonlySet<string> = new Set(["archiveArtifacts", "archive", "junit"]);

interface StagePost {
  readonly job: Job;
  readonly context: StepContext;
  readonly stage: string;
  /** Nothing of the job is before the stage. */
  readonly isFirst: boolean;
}

/** The `post` of a stage: steps right after its own, that look at how those before ended. */
export function addStagePost(post: Post, { job, context, stage, isFirst }: StagePost, report: Report): void {
  for (const { condition, branch, at } of post.conditions) {
    const outcome = OUTCOMES[condition];
    if (outcome === undefined) {
      report.unsupported(at, `post { ${condition} }`, UNKNOWN_OUTCOMES[condition] ?? "there is nothing like it");
      continue;
    }
    const when = outcome === "success" ? {} : ({ runIf: outcome, on: outcome } as const);
    const steps = convertSteps(branch.steps, { ...context, ...when });
    job.addSteps(literal(`${stage}: ${condition}`), steps);
    const isOnlyFiles = branch.steps.every(isFileStep);
    if (isFirst || outcome === "success" || isOnlyFiles)
      report.exact(at, `post { ${condition} }`, "after the steps of the stage");
    else
      report.approximate(
        at,
        `post { ${condition} }`,
        "steps after those of the stage, which also run when an earlier stage of the job failed",
      );
  }
}

const isFileStep = ({ name }: Step): boolean => FILE_STEPS.has(name);

/** The `post` of a pipeline that is one job. */
export function addJobPost(
  post: Post,
  { job, context }: { readonly job: Job; readonly context: StepContext },
  report: Report,
): void {
  const lists: Partial<Record<"always" | "success" | "failure", StepDraft[]>> = {};
  for (const { condition, branch, at } of post.conditions) {
    const outcome = OUTCOMES[condition];
    if (outcome === undefined) {
      report.unsupported(at, `post { ${condition} }`, UNKNOWN_OUTCOMES[condition] ?? "there is nothing like it");
      continue;
    }
    const on = outcome === "success" ? {} : { on: outcome };
    const steps = convertSteps(branch.steps, { ...context, ...on });
    lists[outcome] = [...(lists[outcome] ?? []), ...steps];
    report.exact(at, `post { ${condition} }`, `post steps of the job ${job.name}`);
  }
  const named = Object.entries(lists).filter(([, steps]) => steps.length > 0);
  if (named.length > 0) job.draft.post = Object.fromEntries(named.map(([key, steps]) => [key, numbered(key, steps)]));
}

/** Steps of a list have names of their own. */
function numbered(name: string, steps: readonly StepDraft[]): StepDraft[] {
  return steps.map((step, i) => ({ ...step, name: step.name ?? (steps.length === 1 ? name : `${name}-${i + 1}`) }));
}
