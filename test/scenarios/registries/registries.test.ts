import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connectDocker, createImageStore } from "@kedge/runtime";
import { LOGIN, RegistryServer } from "@kedge/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { hasDocker } from "../../setup/containers.ts";
import { kedge } from "../../setup/kedge.ts";
import { ended, job, jobStates, outcome, submit } from "../../setup/runs.ts";

describe.skipIf(!(await hasDocker()))("a registry that wants a login", () => {
  const images = createImageStore({ docker: connectDocker() });
  let cluster: Cluster;
  let registry: RegistryServer;

  beforeAll(async () => {
    registry = await RegistryServer.start("token");
    cluster = await Cluster.start([{ name: "builder", runtime: "docker,process" }]);
  });

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
    const tool = `${registry.host}/team/tool`;
    for (const tag of ["1", "1-linux-amd64", "1-linux-arm64"]) await images.remove(`${tool}:${tag}`);
  });

  it("gets an image of two platforms from one job, and gives it to another and its service", async () => {
    const file = join(cluster.folder, "token");
    await writeFile(file, LOGIN.password);
    const { code } = await kedge(cluster.env, "secret", "set", "REGISTRY_TOKEN", "--from-file", file);
    expect(code).toBe(0);
    const source = join(import.meta.dirname, "kedge.yaml");
    const run = await ended(cluster, await submit(cluster, { file: source, parameters: { registry: registry.host } }));
    expect(jobStates(run), outcome(run)).toEqual({ build: "SUCCEEDED", use: "SUCCEEDED", outside: "FAILED" });
    const { digest } = job(run, "build").outputs;
    expect(job(run, "build").outputs["image"]).toBe(`${registry.host}/team/tool:1`);
    const log = (await kedge(cluster.env, "logs", run.id)).stdout;
    expect(log).toContain(`pushed ${registry.host}/team/tool:1 as ${digest}`);
    expect(log).toMatch(/it runs, beside side/);
    expect(log).not.toContain(LOGIN.password);
    expect(job(run, "outside").failure?.message).toMatch(
      /image .*\/team\/tool:2 is pulled: .*unauthorized.*registries: \[/i,
    );
    await images.remove(`${registry.host}/team/tool@${digest}`);
  });
});
