import { getChunk, hexOf, sha256Of } from "@kedge/bus";
import { ArtifactService, JobState, RunState, type TaskOffer, TaskState } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";
import { treeOf, uploadOf } from "./testing/tree-parts.ts";

const PIPELINE = `
name: p
jobs:
  build:
    runs-on: { role: build }
    steps: [{ run: "true" }]
    artifacts: [{ name: dist, paths: [dist] }, { name: logs, paths: [logs], on: always, expire: 1h }]
    cache: [{ key: npm-1, paths: [~/.npm], restore-keys: [npm-] }, { key: ro, paths: [ro], read-only: true }]
  test:
    needs: [build]
    inputs: [{ job: build, artifact: dist, path: in }]
    steps: [{ run: "true" }]
`;

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeEach(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1", { role: "build" });
  agent.script = () => undefined;
});
afterEach(() => harness.stop());

const offerOf = (job: string, fence = 1): Promise<TaskOffer> =>
  eventually(
    async () => agent.offers.find(({ ref }) => ref?.job === job && ref.fence === fence),
    (offer) => offer !== undefined,
  ) as Promise<TaskOffer>;

async function endOf(offer: TaskOffer, state = TaskState.SUCCEEDED): Promise<void> {
  if (offer.ref !== undefined) await agent.finish(offer.ref, { state });
}

async function* only<T>(...parts: T[]) {
  yield* parts;
}

async function download(runId: string, name: string, skipChunks = 0n) {
  const parts = [];
  const request = { runId, job: "build", name, skipChunks };
  for await (const { part } of harness.client(ArtifactService).getArtifact(request)) parts.push(part);
  const entries = parts.flatMap((part) => (part.case === "tree" ? part.value.entries : []));
  const content = Buffer.concat(parts.flatMap((part) => (part.case === "chunk" ? [part.value] : [])));
  return { paths: entries.map(({ path }) => path), content: content.toString() };
}

describe("artifacts", () => {
  it("are put by chunks that are missing, and given to later jobs and to people", async () => {
    const run = await harness.submit(PIPELINE);
    const offer = await offerOf("build");
    const task = harness.client(ArtifactService, offer.runToken);
    const tree = treeOf({ "dist/a": "a".repeat(300_000), "dist/b": "bb" });
    const { missing } = await task.findMissingChunks({ chunks: tree.chunks.map(sha256Of) });
    expect(missing).toHaveLength(3);
    const { artifact, newBytes } = await task.putArtifact(uploadOf({ name: "dist" }, tree));
    expect(artifact).toMatchObject({ name: "dist", digest: tree.digest, bytes: 300_002n, files: 2 });
    expect(Number(newBytes)).toBeGreaterThan(300_002);
    expect((await task.findMissingChunks({ chunks: tree.chunks.map(sha256Of) })).missing).toEqual([]);
    const logs = await task.putArtifact(uploadOf({ name: "logs" }, tree, []));
    expect(logs.newBytes).toBe(0n);
    await endOf(offer);
    const { inputs } = await offerOf("test");
    expect(inputs).toMatchObject([{ use: { path: "in" }, artifact: { name: "dist", digest: tree.digest } }]);
    const { jobs } = await harness.run(run.id);
    expect(jobs[0]?.artifacts.map(({ name }) => name)).toEqual(["dist", "logs"]);
    const reader = harness.client(ArtifactService);
    expect((await reader.listArtifacts({ runId: run.id })).artifacts).toHaveLength(2);
    const whole = `${"a".repeat(300_000)}bb`;
    expect(await download(run.id, "dist")).toEqual({ paths: ["dist/a", "dist/b"], content: whole });
    expect((await download(run.id, "dist", 1n)).content).toBe(whole.slice(262_144));
    await reader.deleteArtifact({ runId: run.id, job: "build", name: "dist" });
    await expect(download(run.id, "dist")).rejects.toMatchObject({ reason: "ARTIFACT_NOT_FOUND" });
    harness.clock.skip(3_600_000);
    await expect(download(run.id, "logs")).rejects.toMatchObject({ reason: "ARTIFACT_NOT_FOUND" });
  });

  it("are written once, by the attempt that owns the job, under the names it declares", async () => {
    const run = await harness.submit(PIPELINE);
    const first = await offerOf("build");
    const task = harness.client(ArtifactService, first.runToken);
    const [one, other] = [treeOf({ a: "1" }), treeOf({ a: "2" })];
    await task.putArtifact(uploadOf({ name: "dist" }, one));
    await task.putArtifact(uploadOf({ name: "dist" }, one));
    await expect(task.putArtifact(uploadOf({ name: "dist" }, other))).rejects.toMatchObject({
      reason: "ARTIFACT_EXISTS",
    });
    await expect(task.putArtifact(uploadOf({ name: "mine" }, one))).rejects.toMatchObject({ reason: "INVALID_FIELD" });
    const operator = harness.client(ArtifactService);
    await expect(operator.putArtifact(uploadOf({ name: "dist" }, one))).rejects.toMatchObject({
      reason: "PERMISSION_DENIED",
    });
    // The attempt is tried again: the old token is worth nothing, and what it left is not the job's.
    if (first.ref !== undefined) {
      await agent.finish(first.ref, { state: TaskState.FAILED, failure: { class: 4, message: "disk" } });
    }
    const second = await offerOf("build", 2);
    await expect(task.putArtifact(uploadOf({ name: "logs" }, one))).rejects.toMatchObject({
      reason: "UNAUTHENTICATED",
    });
    await harness.client(ArtifactService, second.runToken).putArtifact(uploadOf({ name: "dist" }, other));
    await endOf(second);
    const { inputs } = await offerOf("test");
    expect(inputs[0]?.artifact?.digest).toBe(other.digest);
    expect((await harness.run(run.id)).jobs[0]?.artifacts).toMatchObject([{ name: "dist", digest: other.digest }]);
  });

  it("are what was stored, whatever the agent says", async () => {
    const run = await harness.submit(PIPELINE);
    const offer = await offerOf("build");
    const artifacts = [{ name: "dist", digest: "ab".repeat(32), bytes: 1n, files: 1 }];
    if (offer.ref !== undefined) await agent.finish(offer.ref, { state: TaskState.SUCCEEDED, artifacts });
    const ended = await harness.until(run.id);
    expect(ended.jobs[0]?.artifacts).toEqual([]);
    expect(ended.jobs[1]).toMatchObject({
      state: JobState.FAILED,
      reason: expect.stringContaining('no artifact "dist"'),
    });
    expect(ended.state).toBe(RunState.FAILED);
  });

  it.each([
    ["a chunk that was not sent", () => uploadOf({ name: "dist" }, treeOf({ a: "never sent" }), []), "CHUNK_NOT_FOUND"],
    ["nothing", () => only({ part: { case: "header" as const, value: { name: "dist" } } }), "INVALID_FIELD"],
    ["no header", () => only({ part: { case: "chunk" as const, value: new Uint8Array(1) } }), "INVALID_FIELD"],
    [
      "no tree",
      () =>
        only<Parameters<ReturnType<typeof taskClient>["putArtifact"]>[0] extends AsyncIterable<infer P> ? P : never>(
          { part: { case: "header", value: { name: "dist" } } },
          { part: { case: "chunk", value: Buffer.from("what?") } },
        ),
      "INVALID_TREE",
    ],
  ])("are refused with %s", async (_, parts, reason) => {
    await harness.submit(PIPELINE);
    const task = taskClient(await offerOf("build"));
    await expect(task.putArtifact(parts())).rejects.toMatchObject({ reason });
  });

  it("may be sent on after a break: what arrived is not sent again", async () => {
    const run = await harness.submit(PIPELINE);
    const offer = await offerOf("build");
    const tree = treeOf({ a: Buffer.alloc(524_289).fill("x").fill("y", 262_144) });
    const stored = (missing: number) =>
      eventually(
        async () =>
          (await taskClient(offer).findMissingChunks({ chunks: tree.chunks.map(sha256Of) })).missing.map(hexOf),
        (digests) =>
          digests.length === missing && digests.at(-1) === hexOf(sha256Of(tree.chunks[2] ?? new Uint8Array())),
      );
    const broken = (async function* () {
      yield* uploadOf({ name: "dist" }, { ...tree, description: [] }, tree.chunks.slice(0, 2));
      await stored(1);
      throw new Error("the agent was killed");
    })();
    await expect(taskClient(offer).putArtifact(broken)).rejects.toThrow();
    await harness.stopController();
    await harness.startController();
    const task = taskClient(offer);
    await stored(1);
    await task.putArtifact(uploadOf({ name: "dist" }, tree, tree.chunks.slice(2)));
    expect((await download(run.id, "dist")).content).toHaveLength(524_289);
    expect(hexOf(await getChunk(agent.bus, tree.digest))).toBe(hexOf(tree.description.at(-1) ?? new Uint8Array()));
  });
});

function taskClient(offer: TaskOffer) {
  return harness.client(ArtifactService, offer.runToken);
}

describe("caches", () => {
  const wanted = (key: string, restoreKeys: string[] = []) => ({ key, restoreKeys, paths: ["~/.npm"] });

  it("are found by key, then by the newest that begins like it, in their own scope", async () => {
    await harness.submit(PIPELINE);
    const task = taskClient(await offerOf("build"));
    expect((await task.getCache(wanted("npm-1", ["npm-"]))).entry).toBeUndefined();
    for (const key of ["npm-1", "npm-2", "gem-3"]) {
      harness.clock.skip(1_000);
      const { existed, entry } = await task.putCache(uploadOf({ key, paths: ["~/.npm"] }, treeOf({ "0/a": key })));
      expect([existed, entry?.scope]).toEqual([false, "p"]);
    }
    expect((await task.getCache(wanted("npm-1"))).entry?.key).toBe("npm-1");
    expect((await task.getCache(wanted("npm-9", ["no-", "npm-", "gem-"]))).entry?.key).toBe("npm-2");
    expect((await task.getCache({ ...wanted("npm-1"), paths: ["other"] })).entry).toBeUndefined();
    const again = await task.putCache(uploadOf({ key: "npm-1", paths: ["~/.npm"] }, treeOf({ "0/a": "else" })));
    expect([again.existed, again.entry?.digest]).toEqual([true, treeOf({ "0/a": "npm-1" }).digest]);
    await harness.submit(PIPELINE.replace("name: p", "name: q"));
    const others = await eventually(
      async () => agent.offers.find(({ cacheScope }) => cacheScope === "q"),
      (offer) => offer !== undefined,
    );
    if (others === undefined) throw new Error("no offer");
    expect((await taskClient(others).getCache(wanted("npm-1", ["npm"]))).entry).toBeUndefined();
    const admin = harness.client(ArtifactService);
    expect((await admin.listCaches({ scope: "p" })).entries.map(({ key }) => key).toSorted()).toEqual([
      "gem-3",
      "npm-1",
      "npm-2",
    ]);
    const page = await admin.listCaches({ pageSize: 2 });
    const rest = await admin.listCaches({ pageSize: 2, pageToken: page.nextPageToken });
    expect(new Set([...page.entries, ...rest.entries].map(({ key }) => key)).size).toBe(3);
    expect((await admin.deleteCache({ scope: "p", key: "npm-1" })).deleted).toBe(1);
    expect((await admin.deleteCache({ scope: "p", key: "" })).deleted).toBe(2);
    await expect(admin.deleteCache({ scope: "p", key: "" })).rejects.toMatchObject({ reason: "CACHE_NOT_FOUND" });
  });

  it("are not written for paths that are not declared, read only, or by forks", async () => {
    await harness.submit(PIPELINE);
    const task = taskClient(await offerOf("build"));
    for (const paths of [["~/.ssh"], ["ro"]]) {
      const put = task.putCache(uploadOf({ key: "k", paths }, treeOf({ "0/a": "1" })));
      await expect(put).rejects.toMatchObject({ reason: "INVALID_FIELD" });
    }
  });
});
