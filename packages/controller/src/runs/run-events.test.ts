import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { JobState, type Run, RunSchema, RunState } from "@kedge/proto";
import { expect, test } from "vitest";
import type { EventInput } from "../events/recorder.ts";
import { recordRunEvents } from "./run-events.ts";

type Init = MessageInitShape<typeof RunSchema>;

const run = (state: RunState, states: readonly JobState[], more: Init = {}): Run =>
  create(RunSchema, {
    ...{ id: "r1", pipeline: "voice", submittedBy: "eva", state },
    jobs: states.map((jobState, i) => ({ spec: { name: `job${i}` }, state: jobState })),
    ...more,
  });

function told(before: Run | undefined, after: Run): string[] {
  const events: EventInput[] = [];
  recordRunEvents({ record: (event) => events.push(event) }, before, after);
  return events.map(({ kind, reason, message, warning }) => `${warning ? "!" : ""}${kind} ${reason}: ${message}`);
}

test("a submission is told once, by whom", () => {
  const pending = run(RunState.PENDING, [JobState.PENDING]);
  expect(told(undefined, pending)).toEqual(["run Submitted: voice by eva", "job Pending: job0"]);
  expect(told(pending, pending)).toEqual([]);
});

test("offers and starts are not told, and a run of one job succeeds in one event", () => {
  const [offered, running, done] = [
    run(RunState.PENDING, [JobState.OFFERED]),
    run(RunState.RUNNING, [JobState.RUNNING]),
    run(RunState.SUCCEEDED, [JobState.SUCCEEDED]),
  ];
  expect(told(offered, running)).toEqual([]);
  expect(told(running, done)).toEqual(["run Succeeded: voice"]);
});

test("failures are warnings, of the job and of the run", () => {
  const before = run(RunState.RUNNING, [JobState.RUNNING, JobState.WAITING]);
  const after = run(RunState.FAILED, [JobState.FAILED, JobState.SKIPPED], { reason: "job0: exit 3" });
  if (after.jobs[0]) after.jobs[0].reason = "exit 3";
  expect(told(before, after)).toEqual(["!job Failed: job0: exit 3", "!job Skipped: job1", "!run Failed: job0: exit 3"]);
});

test("in a run of several jobs each success is told", () => {
  const before = run(RunState.RUNNING, [JobState.RUNNING, JobState.WAITING]);
  const after = run(RunState.RUNNING, [JobState.SUCCEEDED, JobState.PENDING]);
  expect(told(before, after)).toEqual(["job Succeeded: job0", "job Pending: job1"]);
});
