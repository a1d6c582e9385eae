import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  GetCacheRequestSchema,
  JobSchema,
  JobSpecSchema,
  PutCacheHeaderSchema,
  RunSchema,
  type Source,
  SourceSchema,
  TaskSchema,
  TreeRootSchema,
} from "@kedge/proto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { CACHE_LIMITS, Caches } from "./caches.ts";
import type { TaskJob } from "./task-job.ts";
import type { UploadedTree } from "./tree-upload.ts";

const HOUR_MS = 3_600_000;
const paths = ["~/.npm"];
let world: TestStores;
let caches: Caches;
let nowMs: number;

beforeAll(async () => {
  world = await startTestStores();
});
afterAll(() => world.stop());
beforeEach(async () => {
  for (const [key] of [...world.stores.caches.entries()]) await world.stores.caches.delete(key);
  nowMs = 1_700_000_000_000;
  caches = new Caches({ stores: world.stores, clock: { ...systemClock, now: () => nowMs }, scopeBytes: 100 });
});

function taskOf(pipeline: string, source?: Source): TaskJob {
  const spec = create(JobSpecSchema, { name: "build", caches: [{ key: "k", paths }] });
  const run = create(RunSchema, { id: "r1", pipeline, ...(source === undefined ? {} : { source }) });
  return { run, job: create(JobSchema, { spec }), spec, task: create(TaskSchema, { id: "t1" }) };
}

const treeOf = (bytes: number, digest = "d"): UploadedTree => ({
  ...{ digest, entries: [], newBytes: 0n },
  root: create(TreeRootSchema, { bytes: BigInt(bytes), files: 1 }),
});
const put = (key: string, bytes: number, task = taskOf("p")) =>
  caches.put(task, create(PutCacheHeaderSchema, { key, paths }), treeOf(bytes, key));
const find = (key: string, restoreKeys: string[] = [], task = taskOf("p")) =>
  caches.find(task, create(GetCacheRequestSchema, { key, restoreKeys, paths }));
const keys = (scope = "p") => caches.list(scope).map(({ key }) => key);

it("what was used longest ago makes room, in its own scope only", async () => {
  await put("other", 90, taskOf("q"));
  for (const key of ["a", "b", "c"]) {
    nowMs += 1000;
    await put(key, 30);
  }
  nowMs += 2 * HOUR_MS;
  await find("a");
  nowMs += 1;
  await put("d", 40);
  expect(keys()).toEqual(["d", "a", "c"]);
  await put("e", 70);
  expect(keys()).toEqual(["e"]);
  await expect(put("f", 101)).rejects.toMatchObject({ reason: "TOO_LARGE" });
  expect([keys(), keys("q")]).toEqual([["e"], ["other"]]);
});

it("a use is noted to the hour, and what nobody uses is forgotten", async () => {
  await put("a", 1);
  await put("b", 1);
  const used = () => {
    const at = caches.list("p").find(({ key }) => key === "a")?.lastUsedAt;
    return at === undefined ? undefined : timestampMs(at);
  };
  const before = used();
  nowMs += HOUR_MS - 1;
  await find("a");
  expect(used()).toBe(before);
  nowMs += 1;
  await find("none", ["a"]);
  expect(used()).toBe(nowMs);
  nowMs += CACHE_LIMITS.unusedMs - HOUR_MS + 1;
  await caches.collectUnused();
  expect(keys()).toEqual(["a"]);
});

it("a fork reads its pipeline's caches and writes none", async () => {
  await put("a", 1);
  const fork = taskOf("p", create(SourceSchema, { fork: true }));
  expect((await find("a", [], fork))?.key).toBe("a");
  const header = create(PutCacheHeaderSchema, { key: "evil", paths });
  expect(() => caches.assertMayPut(fork, header)).toThrow("it only reads caches");
  expect(() => caches.assertMayPut(taskOf("p"), header)).not.toThrow();
  expect(() => caches.assertMayPut(taskOf("p"), create(PutCacheHeaderSchema, { key: "", paths }))).toThrow("1 to 512");
});

it("of two who store a key at once one wins, and both hear who", async () => {
  const two = [new Caches({ stores: world.stores, clock: systemClock }), caches];
  const header = create(PutCacheHeaderSchema, { key: "a", paths });
  const results = await Promise.all(two.map((it, i) => it.put(taskOf("p"), header, treeOf(1, `${i}`))));
  expect(results.map(({ existed }) => existed).toSorted()).toEqual([false, true]);
  expect(new Set(results.map(({ entry }) => entry.digest)).size).toBe(1);
  expect(keys()).toEqual(["a"]);
});
