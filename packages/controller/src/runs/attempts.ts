import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Failure, FailureClass, type Job, RetryOn, type RetryRule, type Task, TaskState } from "@kedge/proto";

const DEFAULT_MAX_ATTEMPTS = 3;
/** Doubling ends here. */
const MAX_DELAY_SECONDS = 3600;

const CLASSES: Readonly<Partial<Record<FailureClass, RetryOn>>> = {
  [FailureClass.INFRASTRUCTURE]: RetryOn.INFRASTRUCTURE,
  // Nobody asked for it: the agent gave the task up by itself.
  [FailureClass.CANCELLED]: RetryOn.INFRASTRUCTURE,
  [FailureClass.LOST_AGENT]: RetryOn.LOST_AGENT,
  [FailureClass.EXIT_CODE]: RetryOn.EXIT_CODE,
  [FailureClass.TIMEOUT]: RetryOn.TIMEOUT,
  [FailureClass.OUT_OF_MEMORY]: RetryOn.OUT_OF_MEMORY,
};

/** What a job without rules is tried again for: failures that are not its own. */
const DEFAULT_RULES: readonly Pick<RetryRule, "on" | "exitCodes" | "maxAttempts" | "delaySeconds">[] = [
  { on: [RetryOn.INFRASTRUCTURE, RetryOn.LOST_AGENT], exitCodes: [], maxAttempts: 0, delaySeconds: 0 },
];

type Rule = (typeof DEFAULT_RULES)[number];

/** Ends of attempts that were not the attempt's fault. */
const FREE: ReadonlySet<TaskState> = new Set([TaskState.WITHDRAWN, TaskState.PREEMPTED]);

/** Whether a failed job is tried again, and after how long. */
export type NextAttempt = { readonly kind: "none" } | { readonly kind: "after"; readonly delaySeconds: number };

/**
 * What comes after a failure, the job's newest attempt having ended with it: the first rule that fits it decides. A rule
 * with a number of its own counts the attempts that ended as it says, others count all attempts.
 */
export function attemptAfter(job: Job, failure: Failure): NextAttempt {
  const rules: readonly Rule[] = job.spec?.retry.length ? job.spec.retry : DEFAULT_RULES;
  const ruleOf = (cause: Failure): Rule | undefined => rules.find((candidate) => fits(candidate, cause));
  const rule = ruleOf(failure);
  if (rule === undefined) return { kind: "none" };
  const spent = spentAttempts(job);
  const fitting = spent.filter((task) => task.failure !== undefined && ruleOf(task.failure) === rule).length;
  const isLeft =
    rule.maxAttempts > 0 ? fitting < rule.maxAttempts : spent.length < (job.spec?.maxAttempts || DEFAULT_MAX_ATTEMPTS);
  if (!isLeft) return { kind: "none" };
  const delaySeconds = Math.min(MAX_DELAY_SECONDS, rule.delaySeconds * 2 ** Math.min(30, Math.max(0, fitting - 1)));
  return { kind: "after", delaySeconds };
}

function fits(rule: Rule, failure: Failure): boolean {
  const on = CLASSES[failure.class];
  if (on === undefined || !rule.on.includes(on)) return false;
  return on !== RetryOn.EXIT_CODE || rule.exitCodes.length === 0 || rule.exitCodes.includes(failure.exitCode);
}

/** Attempts since the job was started, or started over by a person; those that were taken back or made room do not count. */
function spentAttempts(job: Job): Task[] {
  const sinceMs = job.readyAt === undefined ? 0 : timestampMs(job.readyAt);
  return job.tasks.filter(
    (task) => !FREE.has(task.state) && (task.offeredAt === undefined || timestampMs(task.offeredAt) >= sinceMs),
  );
}
