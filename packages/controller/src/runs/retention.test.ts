import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Job, JobSchema, type Run, RunSchema, RunState } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { doomedRuns, RUN_RETENTION } from "./retention.ts";

const NOW_MS = 10 * RUN_RETENTION.ageMs;

const JOB = create(JobSchema, { spec: { name: "a" } });

function run(id: string, { jobs = 1, state = RunState.SUCCEEDED, ageMs = 1000 } = {}): Run {
  const ended = create(RunSchema, { id, state, finishedAt: timestampFromMs(NOW_MS - ageMs) });
  ended.jobs = new Array<Job>(jobs).fill(JOB);
  return ended;
}

describe("ended runs", () => {
  it("are kept while they are young and few", () => {
    expect(doomedRuns([run("b"), run("a"), run("c", { state: RunState.RUNNING })], NOW_MS)).toEqual([]);
  });

  it("go when they are old, the oldest first; those under way never", () => {
    const old = { ageMs: RUN_RETENTION.ageMs + 1 };
    const under = run("a", { ...old, state: RunState.RUNNING });
    expect(doomedRuns([run("d"), run("c", old), run("b", old), under], NOW_MS)).toEqual(["b", "c"]);
  });

  it("go when they are too many", () => {
    const ids = Array.from({ length: RUN_RETENTION.count + 2 }, (_, i) => String(i).padStart(6, "0"));
    expect(
      doomedRuns(
        ids.map((id) => run(id)),
        NOW_MS,
      ),
    ).toEqual(["000000", "000001"]);
  });

  it("go when their jobs are too many together; the newest stays", () => {
    const big = { jobs: RUN_RETENTION.jobs / 2 };
    expect(doomedRuns([run("a", big), run("b", big), run("c", big)], NOW_MS)).toEqual(["a"]);
    expect(doomedRuns([run("a", { jobs: RUN_RETENTION.jobs + 1 })], NOW_MS)).toEqual([]);
  });
});
