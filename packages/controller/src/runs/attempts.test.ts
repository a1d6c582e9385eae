import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Failure, FailureClass, FailureSchema, type Job, JobSchema, RetryOn, TaskState } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { attemptAfter } from "./attempts.ts";

const failed = (exitCode: number): Failure => create(FailureSchema, { class: FailureClass.EXIT_CODE, exitCode });
const lost = create(FailureSchema, { class: FailureClass.LOST_AGENT });

/** A job whose attempts ended so, the newest last. */
function job(failures: readonly Failure[], spec: object): Job {
  const tasks = failures.map((failure, i) => ({
    state: TaskState.FAILED,
    failure,
    offeredAt: timestampFromMs(1000 + i),
  }));
  return create(JobSchema, { spec: { name: "it", ...spec }, readyAt: timestampFromMs(1000), tasks });
}

function after(failures: readonly Failure[], spec: object): number | "none" {
  const newest = failures.at(-1);
  if (newest === undefined) throw new Error("no attempt");
  const next = attemptAfter(job(failures, spec), newest);
  return next.kind === "none" ? "none" : next.delaySeconds;
}

describe("a failed attempt", () => {
  it("without rules is tried again where the job is not at fault", () => {
    const classes = [FailureClass.INFRASTRUCTURE, FailureClass.LOST_AGENT, FailureClass.CANCELLED];
    for (const at of classes) expect(after([create(FailureSchema, { class: at })], {})).toBe(0);
    const own = [FailureClass.EXIT_CODE, FailureClass.TIMEOUT, FailureClass.OUT_OF_MEMORY, FailureClass.INVALID];
    for (const at of own) expect(after([create(FailureSchema, { class: at })], {})).toBe("none");
    expect(after([lost, lost], { maxAttempts: 3 })).toBe(0);
    expect(after([lost, lost, lost], { maxAttempts: 3 })).toBe("none");
  });

  it("goes by the first rule that fits", () => {
    const retry = [
      { on: [RetryOn.EXIT_CODE], exitCodes: [75], maxAttempts: 3, delaySeconds: 10 },
      { on: [RetryOn.EXIT_CODE], maxAttempts: 2 },
    ];
    expect(after([failed(75)], { retry })).toBe(10);
    expect(after([failed(75), failed(75)], { retry })).toBe(20);
    expect(after([failed(75), failed(75), failed(75)], { retry })).toBe("none");
    expect(after([failed(1)], { retry })).toBe(0);
    expect(after([failed(75), failed(1)], { retry })).toBe(0);
    expect(after([lost], { retry })).toBe("none");
  });

  it("waits an hour at most", () => {
    const retry = [{ on: [RetryOn.LOST_AGENT], maxAttempts: 20, delaySeconds: 60 }];
    expect(after(new Array(12).fill(lost), { retry })).toBe(3600);
  });

  it("does not count attempts that were taken back, or before a person started it over", () => {
    const withdrawn = job([lost, lost], { maxAttempts: 2 });
    for (const task of withdrawn.tasks.slice(0, 1)) task.state = TaskState.WITHDRAWN;
    expect(attemptAfter(withdrawn, lost).kind).toBe("after");
    const again = job([lost, lost], { maxAttempts: 2 });
    again.readyAt = timestampFromMs(1001);
    expect(attemptAfter(again, lost).kind).toBe("after");
  });
});
