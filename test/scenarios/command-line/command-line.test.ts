import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import { ListNodesResponseSchema, RunState, SubmitRunResponseSchema } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { type CommandResult, kedge } from "../../setup/kedge.ts";
import { ended } from "../../setup/runs.ts";

const [good, bad] = ["good.yaml", "bad.yaml"].map((name) => join(import.meta.dirname, name)) as [string, string];

describe("the kedge command", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder" }]);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  function command(...args: readonly string[]): Promise<CommandResult> {
    return kedge(cluster.env, ...args);
  }

  it("prints what the API answers with --json", async () => {
    const nodes = await command("get", "nodes", "--json");
    const parsed = fromJsonString(ListNodesResponseSchema, nodes.stdout);
    expect(parsed.nodes.map(({ id }) => id)).toEqual([cluster.node("builder").id]);
    const submitted = await command("run", "submit", "-f", good, "--json");
    const { run } = fromJsonString(SubmitRunResponseSchema, submitted.stdout);
    expect((await ended(cluster, run?.id ?? "")).state).toBe(RunState.SUCCEEDED);
  });

  it("follows a run's log and exits with 0 when it succeeds", async () => {
    const followed = await command("run", "submit", "-f", good, "--follow");
    expect(followed, followed.stderr).toMatchObject({ code: 0 });
    expect(followed.stdout).toContain("says hello");
  });

  it("exits with 3 when a run fails", async () => {
    expect(await command("run", "submit", "-f", good, "-p", "code=9", "--wait")).toMatchObject({ code: 3 });
  });

  it("exits with 5 for what does not exist", async () => {
    expect(await command("rollout", "status", "nothing")).toMatchObject({ code: 5 });
    expect(await command("run", "get", "01aaaaaaaaaaaaaaaaaaaaaaaa")).toMatchObject({ code: 5 });
  });

  it("exits with 6 for a token that is not valid", async () => {
    const answer = await command("--token", "not-a-token", "get", "nodes");
    expect(answer).toMatchObject({ code: 6, stdout: "" });
  });

  it("exits with 7 when there is no controller", async () => {
    expect(await command("--address", "127.0.0.1:1", "get", "nodes")).toMatchObject({ code: 7 });
  });

  it("says in which line and column a pipeline file is wrong", async () => {
    const linted = await command("pipeline", "lint", "-f", bad);
    expect(linted.code, linted.stderr).toBe(2);
    expect(linted.stdout + linted.stderr).toMatch(/bad\.yaml:6:9\b.*timeuot/);
    const submitted = await command("run", "submit", "-f", bad);
    expect(submitted.code, submitted.stderr).toBe(2);
    expect(submitted.stderr).toMatch(/bad\.yaml:6:9\b.*timeuot/);
  });
});
