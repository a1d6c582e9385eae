import { create } from "@bufbuild/protobuf";
import { getChunk, hasChunk, hexOf, putChunk, sha256Of } from "@kedge/bus";
import { type Clock, silentLogger as logger, systemClock } from "@kedge/kernel";
import { CacheEntrySchema, ModelVersionSchema, StoredArtifactSchema } from "@kedge/proto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { type TestTree, treeOf } from "../testing/tree-parts.ts";
import { ChunkCollector } from "./chunk-collector.ts";
import { ChunkHolds } from "./chunk-holds.ts";
import { isStored, TreeUpload } from "./tree-upload.ts";

const { signal } = new AbortController();
let world: TestStores;
let holds: ChunkHolds;
let later: Clock;
let skewMs: number;
beforeAll(async () => {
  world = await startTestStores();
});
afterAll(() => world.stop());
beforeEach(() => {
  skewMs = 3_600_001;
  later = { ...systemClock, now: () => systemClock.now() + skewMs };
  holds = new ChunkHolds(later);
});

const collector = () => new ChunkCollector({ ...world, holds, clock: later, logger });

async function putTree(tree: TestTree): Promise<void> {
  for (const bytes of [...tree.chunks, ...tree.description]) await putChunk(world.bus, bytes);
}

async function isWhole(tree: TestTree): Promise<boolean> {
  const all = [...tree.chunks, ...tree.description];
  const there = await Promise.all(all.map((bytes) => hasChunk(world.bus, hexOf(sha256Of(bytes)))));
  return there.every((is) => is);
}

const put = async (text: string) => (await putChunk(world.bus, Buffer.from(text))).sha256;

describe("chunks", () => {
  it("go when no version, artifact or cache refers to them, and not before they are an hour old", async () => {
    const { stores } = world;
    const [artifact, cache, none] = ["artifact", "cache", "none"].map((name) =>
      treeOf({ a: `a ${name}`, b: "shared" }),
    );
    if (artifact === undefined || cache === undefined || none === undefined) throw new Error("no trees");
    for (const tree of [artifact, cache, none]) await putTree(tree);
    const [manifest, weights, old] = [await put("manifest"), await put("weights"), await put("a deleted version's")];
    const files = [{ path: "m", size: 7n, sha256: weights, chunks: [weights] }];
    await stores.modelVersions.create(
      "m.1",
      create(ModelVersionSchema, { model: "m", digest: manifest, manifest: { files } }),
    );
    const document = create(StoredArtifactSchema, { artifact: { name: "x", digest: artifact.digest } });
    await stores.artifacts.create("r.j.x", document);
    await stores.caches.create("s.k", create(CacheEntrySchema, { digest: cache.digest }));
    skewMs = 0;
    expect((await collector().collect(signal)).deleted).toBe(0);
    skewMs = 3_600_001;
    const { deleted } = await collector().collect(signal);
    expect(deleted).toBe(1 + 2 + 1);
    expect(await Promise.all([isWhole(artifact), isWhole(cache), isWhole(none)])).toEqual([true, true, false]);
    expect(await Promise.all([manifest, weights, old].map((it) => hasChunk(world.bus, it)))).toEqual([
      true,
      true,
      false,
    ]);
    await stores.artifacts.delete("r.j.x");
    expect((await collector().collect(signal)).deleted).toBe(3);
    expect((await collector().collect(signal)).deleted).toBe(0);
    expect(await isWhole(cache)).toBe(true);
  });

  it("stay while an upload relies on them, and until a task that was told of them has had an hour", async () => {
    const chunk = await put("told of");
    using hold = holds.begin();
    expect(await isStored(world.bus, hold, chunk)).toBe(true);
    expect((await collector().collect(signal)).deleted).toBe(0);
    hold.release();
    const ofTask = holds.ofTask("t1");
    await isStored(world.bus, ofTask, chunk);
    expect((await collector().collect(signal)).deleted).toBe(0);
    skewMs += 3_600_001;
    expect((await collector().collect(signal)).deleted).toBe(1);
  });

  it("are never missing from a tree that was put while collections went on", async () => {
    const { bus, stores } = world;
    const common = { a: Buffer.alloc(300_000, "common"), b: "small" };
    let stop = false;
    const collecting = (async () => {
      let deleted = 0;
      while (!stop) deleted += (await collector().collect(signal)).deleted;
      return deleted;
    })();
    for (let i = 0; i < 40; i += 1) {
      const tree = treeOf({ ...common, own: `${i}` });
      const hold = holds.begin();
      const upload = new TreeUpload(bus, hold);
      // What is there is not sent, as an agent does it.
      for (const bytes of tree.chunks) {
        if (!(await isStored(bus, hold, hexOf(sha256Of(bytes))))) await upload.add(bytes);
      }
      for (const bytes of tree.description) await upload.add(bytes);
      const { digest } = await upload.finish();
      const key = `race.j.a${i}`;
      await stores.artifacts.create(key, create(StoredArtifactSchema, { artifact: { digest } }));
      hold.release();
      expect(await isWhole(tree)).toBe(true);
      // Now nothing refers to the chunks that the next upload shares with this one.
      await stores.artifacts.delete(key);
    }
    stop = true;
    expect(await collecting).toBeGreaterThan(40);
  });

  it("are read back right by whoever waits for one that is being deleted", async () => {
    const sha256 = await put("contested");
    const collection = holds.beginCollection();
    using hold = holds.begin();
    const { promise, resolve } = Promise.withResolvers<void>();
    const deleting = holds.delete([{ sha256 }], () => promise);
    let waited = false;
    const protecting = hold.protect(sha256).then(() => {
      waited = true;
    });
    await Promise.resolve();
    expect(waited).toBe(false);
    resolve();
    expect(await deleting).toBe(1);
    await protecting;
    expect(await holds.delete([{ sha256 }], () => Promise.reject(new Error("it is held")))).toBe(0);
    collection.end();
    expect(Buffer.from(await getChunk(world.bus, sha256)).toString()).toBe("contested");
  });
});
