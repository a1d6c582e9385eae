import { create } from "@bufbuild/protobuf";
import { JobState, type Run, RunSchema, RunState } from "@kedge/proto";
import { expect, it } from "vitest";
import { rerunFrom } from "./rerun.ts";

const OPTIONS = { id: "new", submittedBy: "eve", team: "web", nowMs: 5000 };

function ended(states: Readonly<Record<string, JobState>>, more: object = {}): Run {
  const jobs = [
    { spec: { name: "build" }, outputs: { image: "app:1" }, artifacts: [{ name: "dist", digest: "ab" }] },
    { spec: { name: "lint" }, tasks: [{ id: "old-lint-1" }] },
    { spec: { name: "test", needs: ["build"] } },
    { spec: { name: "ship", needs: ["test", "lint"] } },
  ];
  const fields = { id: "old", pipeline: "p", parameters: { level: "2" }, state: RunState.FAILED, submittedBy: "bob" };
  return create(RunSchema, {
    ...{ ...fields, ...more },
    jobs: jobs.map((job) => ({ ...job, state: states[job.spec.name] ?? JobState.SUCCEEDED })),
  });
}

const states = (run: Run): Record<string, string> =>
  Object.fromEntries(run.jobs.map(({ spec, state }) => [spec?.name ?? "", JobState[state]]));

it("runs the named job and what comes after it again, and keeps what the others came to", () => {
  const run = rerunFrom(ended({}), ["test"], OPTIONS);
  expect(states(run)).toEqual({ build: "SUCCEEDED", lint: "SUCCEEDED", test: "WAITING", ship: "WAITING" });
  expect(run).toMatchObject({ id: "new", rerunOf: "old", parameters: { level: "2" }, state: RunState.PENDING });
  expect(run).toMatchObject({ submittedBy: "eve", team: "web", cancelRequested: false });
  expect(run.jobs[0]).toMatchObject({ outputs: { image: "app:1" }, artifacts: [{ digest: "ab" }], reusedFrom: "old" });
  expect(run.jobs[1]?.tasks).toEqual([]);
  expect(run.jobs[2]?.reusedFrom).toBe("");
});

it("also runs again what did not succeed, and what waits for that", () => {
  const run = rerunFrom(ended({ lint: JobState.FAILED, ship: JobState.SKIPPED }), ["test"], OPTIONS);
  expect(states(run)).toEqual({ build: "SUCCEEDED", lint: "WAITING", test: "WAITING", ship: "WAITING" });
});

it("says of what was kept twice where it ran", () => {
  const first = rerunFrom(ended({}), ["test"], OPTIONS);
  const again = rerunFrom({ ...first, state: RunState.SUCCEEDED }, ["ship"], { ...OPTIONS, id: "third" });
  expect(again.jobs[0]?.reusedFrom).toBe("old");
});

it("lets nothing in that nobody let in, and waits for its turn", () => {
  const outside = { source: { fork: true, commit: "c1" } };
  expect(rerunFrom(ended({}, outside), ["test"], OPTIONS).state).toBe(RunState.BLOCKED);
  const letIn = { ...outside, decision: { approved: true, commit: "c1" }, concurrency: { group: "g" } };
  expect(rerunFrom(ended({}, letIn), ["test"], OPTIONS).state).toBe(RunState.QUEUED);
});

it("refuses a run that goes on", () => {
  expect(() => rerunFrom(ended({}, { state: RunState.RUNNING }), ["test"], OPTIONS)).toThrow("still runs");
});
