import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FailureClass, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, job, jobStates, submit } from "../../setup/runs.ts";

describe("steps that fail", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder" }]);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("fail their job and skip what needs it, unless the failure is allowed", async () => {
    const effects = join(cluster.folder, "effects");
    const file = join(import.meta.dirname, "kedge.yaml");
    const run = await ended(cluster, await submit(cluster, { file, parameters: { effects } }));
    expect(run.state).toBe(RunState.FAILED);
    expect(jobStates(run)).toEqual({
      flaky: "FAILED",
      "after-flaky": "SUCCEEDED",
      broken: "FAILED",
      dependent: "SKIPPED",
      "dependent-of-dependent": "SKIPPED",
    });
    expect(job(run, "broken").failure).toMatchObject({ class: FailureClass.EXIT_CODE, exitCode: 42, step: "breaks" });
    expect(job(run, "broken").tasks).toHaveLength(1);
    expect(await readFile(effects, "utf8")).toBe("first\n");
  });
});
