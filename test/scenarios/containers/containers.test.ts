import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { buildHostBaseImage, connectDocker, createImageStore } from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { containersOf, hasDocker } from "../../setup/containers.ts";
import { makeRepository } from "../../setup/git-repository.ts";
import { ended, job, outcome, submit } from "../../setup/runs.ts";
import { waitUntil } from "../../setup/wait-for.ts";

const tag = randomBytes(4).toString("hex");
const built = `kedge-test/built:${tag}`;

describe.skipIf(!(await hasDocker()))("jobs in containers", () => {
  const images = createImageStore({ docker: connectDocker() });
  let cluster: Cluster;

  beforeAll(async () => {
    await buildHostBaseImage({ images, tag: "kedge-test/base:1", programs: ["busybox"] });
    cluster = await Cluster.start([{ name: "builder", runtime: "docker,process" }]);
  });

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    for (const image of [built, "kedge-test/base:1"]) await images.remove(image);
  });

  it("run in an image, build one, and run in what they built", async () => {
    const repository = join(cluster.folder, "repository");
    const commit = await makeRepository(join(import.meta.dirname, "project"), repository);
    const file = join(import.meta.dirname, "kedge.yaml");
    const run = await ended(cluster, await submit(cluster, { file, repository, commit, parameters: { tag } }));
    expect(outcome(run)).toBe("SUCCEEDED");
    expect(job(run, "image").outputs).toMatchObject({ SMOKE: "passed" });
    expect(await images.find(built)).toBeDefined();
    await waitUntil("no container is left", async () => {
      const seen = await containersOf(cluster.node("builder").id);
      return { ok: seen.length === 0, seen };
    });
  });
});
