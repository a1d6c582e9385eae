import { JobState, RolloutState, TaskState } from "@kedge/proto";
import { expect, test } from "vitest";
import {
  isJobEnded,
  isRolloutEnded,
  isTaskEnded,
  isTransition,
  JOB_TRANSITIONS,
  TASK_TRANSITIONS,
} from "./state-tables.ts";

const numbers = (values: object): number[] =>
  Object.values(values).filter((value) => typeof value === "number" && value !== 0);
interface Lifecycle {
  readonly name: string;
  readonly states: readonly number[];
  readonly rows: Readonly<Record<number, readonly number[]>>;
  readonly isEnded: (state: number) => boolean;
  readonly start: number;
}

const lifecycles: readonly Lifecycle[] = [
  { name: "task", states: numbers(TaskState), rows: TASK_TRANSITIONS, isEnded: isTaskEnded, start: TaskState.OFFERED },
  { name: "job", states: numbers(JobState), rows: JOB_TRANSITIONS, isEnded: isJobEnded, start: JobState.WAITING },
];

test.each(lifecycles)("a $name has moves exactly while it has not ended", ({ states, rows, isEnded }) => {
  for (const state of states) {
    const moves = rows[state] ?? [];
    expect(moves.length === 0).toBe(isEnded(state));
  }
});

test.each(lifecycles)("every state of a $name can be reached and can end", ({ states, rows, isEnded, start }) => {
  expect(reachable(rows, start)).toEqual(new Set(states));
  for (const state of states) {
    expect([...reachable(rows, state)].some((reached) => isEnded(reached))).toBe(true);
  }
});

test("a task that was given away is never claimed", () => {
  expect(isTransition(TASK_TRANSITIONS, TaskState.OFFERED, TaskState.WITHDRAWN)).toBe(true);
  expect(isTransition(TASK_TRANSITIONS, TaskState.WITHDRAWN, TaskState.CLAIMED)).toBe(false);
  expect(isTransition(TASK_TRANSITIONS, TaskState.CLAIMED, TaskState.WITHDRAWN)).toBe(false);
});

test("a task that made room stays ended, and its job waits again", () => {
  for (const from of [TaskState.OFFERED, TaskState.CLAIMED, TaskState.RUNNING]) {
    expect(isTransition(TASK_TRANSITIONS, from, TaskState.PREEMPTED)).toBe(true);
    expect(isTransition(TASK_TRANSITIONS, TaskState.PREEMPTED, from)).toBe(false);
  }
  expect(isTransition(JOB_TRANSITIONS, JobState.RUNNING, JobState.PENDING)).toBe(true);
});

test("a rollout has ended when it succeeded or was rolled back, and only then", () => {
  const ended = numbers(RolloutState).filter((state) => isRolloutEnded(state));
  expect(ended).toEqual([RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK]);
});

function reachable(rows: Lifecycle["rows"], from: number): Set<number> {
  const seen = new Set([from]);
  for (const state of seen) for (const next of rows[state] ?? []) seen.add(next);
  return seen;
}
