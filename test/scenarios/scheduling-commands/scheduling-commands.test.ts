import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import {
  CreateTokenResponseSchema,
  ExplainJobResponseSchema,
  JobState,
  ListQueueResponseSchema,
  PlanDemandResponseSchema,
  RebalanceResponseSchema,
  SubmitRunResponseSchema,
} from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { type CommandResult, kedge } from "../../setup/kedge.ts";
import { ended, jobWhere, outcome } from "../../setup/runs.ts";

const [pipeline, policy] = ["kedge.yaml", "policy.yaml"].map((name) => join(import.meta.dirname, name)) as [
  string,
  string,
];

describe("the commands about room", () => {
  let cluster: Cluster;
  let cpu: string;
  let node: string;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder", labels: { zone: "a" } }]);
    const { id, capacity } = await cluster.readyNode("builder");
    [node, cpu] = [id, `${capacity?.cpuMilli ?? 0}m`];
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  function command(...args: readonly string[]): Promise<CommandResult> {
    return kedge(cluster.env, ...args);
  }

  async function submit(gate: string, ...options: readonly string[]): Promise<string> {
    const params = ["-p", `cpu=${cpu}`, "-p", `gate=${gate}`];
    const { stdout, stderr } = await command("run", "submit", "-f", pipeline, ...params, ...options, "--json");
    const { run } = stdout === "" ? {} : fromJsonString(SubmitRunResponseSchema, stdout);
    if (run === undefined) throw new Error(stderr);
    return run.id;
  }

  it("plan says where copies would go, the same with a controller and from what it printed", async () => {
    const nodes = join(cluster.folder, "nodes.json");
    await writeFile(nodes, (await command("get", "nodes", "--json")).stdout);
    const demand = ["plan", "--cpu", cpu, "--require", "zone in (a, b)", "--count", "2", "--json"];
    for (const where of [[], ["--nodes", nodes]]) {
      const planned = await command(...demand, ...where);
      expect(planned.code, planned.stderr).toBe(9);
      const { placements } = fromJsonString(PlanDemandResponseSchema, planned.stdout);
      expect(placements.map(({ chosenNodeId }) => chosenNodeId)).toEqual([node, ""]);
      expect(placements[1]?.rejections).toMatchObject([{ nodeId: node, subject: "cpu_milli" }]);
    }
    expect(await command("plan", "--cpu", "1m", "--on", "zone=b")).toMatchObject({ code: 9 });
    const jobs = await command("plan", "-f", pipeline, "-p", "cpu=1m", "-p", "gate=/tmp");
    expect(jobs).toMatchObject({ code: 0, stdout: expect.stringMatching(new RegExp(`^train .* ${node} `, "m")) });
  });

  it("queue, job why and team list tell of a job that waits, and whose it is", async () => {
    const created = await command(
      "token",
      "create",
      "--role",
      "operator",
      "--name",
      "ci",
      "--team",
      "vision",
      "--json",
    );
    expect(created.code, created.stderr).toBe(0);
    const { token } = fromJsonString(CreateTokenResponseSchema, created.stdout);
    const gate = join(cluster.folder, "gate");
    const first = await submit(gate);
    await jobWhere(cluster, first, "train", ({ state }) => state === JobState.RUNNING);
    const second = await submit(gate, "--token", token);
    await jobWhere(cluster, second, "train", ({ state }) => state === JobState.PENDING);

    const nodes = join(cluster.folder, "nodes.json");
    await writeFile(nodes, (await command("get", "nodes", "--json")).stdout);
    expect(await command("plan", "--nodes", nodes, "--cpu", "1m")).toMatchObject({ code: 9 });

    const queue = await command("queue", "--team", "vision", "--json");
    const { entries } = fromJsonString(ListQueueResponseSchema, queue.stdout);
    expect(entries).toMatchObject([{ runId: second, job: "train", team: "vision", priority: 5, position: 1 }]);
    expect((await command("queue")).stdout).toMatch(new RegExp(`^1 +${second} +train +crowd +vision +5 `, "m"));
    expect(await command("queue", "--team", "nobody")).toMatchObject({ code: 0, stdout: "no job waits for room\n" });

    const why = await command("job", "why", second, "train");
    expect(why.code, why.stderr).toBe(0);
    expect(why.stdout).toMatch(new RegExp(`^${node} +- +.* CPU wanted, 0 free of `, "m"));
    const placed = await command("job", "why", first, "train", "--json");
    expect(fromJsonString(ExplainJobResponseSchema, placed.stdout).explanation?.chosenNodeId).toBe(node);
    expect(await command("job", "why", second, "nothing")).toMatchObject({ code: 5 });

    const teams = (await command("team", "list")).stdout;
    expect(teams).toMatch(/^vision +1 +\d+% +0 +1 /m);
    await writeFile(gate, "");
    for (const run of [first, second]) expect(outcome(await ended(cluster, run))).toBe("SUCCEEDED");
    expect(await command("queue")).toMatchObject({ code: 0, stdout: "no job waits for room\n" });
  });

  it("policy apply takes a file, get gives it back, and what it says is in force", async () => {
    const applied = await command("policy", "apply", "-f", policy);
    expect(applied.code, applied.stderr).toBe(0);
    const again = join(cluster.folder, "again.yaml");
    const { stdout } = await command("policy", "get");
    await writeFile(again, stdout);
    expect(stdout).toContain("vision:");
    expect(await command("policy", "apply", "-f", again)).toMatchObject({ code: 0, stdout });
    expect((await command("team", "list")).stdout).toMatch(/^vision +3 .* 0\/64 .* 0\/2\.5$/m);
    const wrong = join(cluster.folder, "wrong.yaml");
    await writeFile(wrong, "teams:\n  vision: { shares: 3 }\n");
    expect(await command("policy", "apply", "-f", wrong)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/wrong\.yaml:2:\d+: error: .*shares/),
    });
  });

  it("rebalance shows what it would move", async () => {
    const { code, stdout } = await command("rebalance", "--max-moves", "3", "--json");
    expect({ code, moves: fromJsonString(RebalanceResponseSchema, stdout).moves }).toEqual({ code: 0, moves: [] });
    expect((await command("rebalance")).stdout).toMatch(/^nothing to gain: /);
    expect(await command("rebalance", "--max-moves", "0")).toMatchObject({ code: 2 });
  });
});
