import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { JobState, RunSchema, TaskEventSchema, TaskState } from "@kedge/proto";
import { expect, test } from "vitest";
import { applyTaskEvent } from "./task-events.ts";

test("a task that ends before anything else was told brings its steps with its end", () => {
  const [offeredAt, startedAt, now] = [timestampFromMs(1000), timestampFromMs(2000), timestampFromMs(9000)];
  const work = { case: "steps" as const, value: { steps: [{ name: "go" }] } };
  const run = create(RunSchema, {
    id: "run",
    jobs: [
      {
        spec: { name: "a", work },
        state: JobState.OFFERED,
        tasks: [{ id: "run-a-1", nodeId: "n1", fence: 1, state: TaskState.OFFERED, offeredAt }],
      },
    ],
  });
  const steps = ["go", "unknown"].map((name) => ({ name, state: JobState.SUCCEEDED, startedAt }));
  const event = create(TaskEventSchema, {
    ref: { runId: "run", job: "a", taskId: "run-a-1", nodeId: "n1", fence: 1 },
    at: timestampFromMs(3000),
    event: { case: "finished", value: { state: TaskState.SUCCEEDED, steps } },
  });
  expect(applyTaskEvent(run, event, now)).toBe(true);
  const [job] = run.jobs;
  expect(job).toMatchObject({
    state: JobState.SUCCEEDED,
    steps: [{ name: "go", state: JobState.SUCCEEDED, startedAt }],
  });
  expect(job?.tasks[0]).toMatchObject({ state: TaskState.SUCCEEDED, startedAt });
});
