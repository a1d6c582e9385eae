import { create } from "@bufbuild/protobuf";
import { isKedgeError } from "@kedge/domain";
import { AssignmentSchema, type Node, NodeSchema, RouteSchema } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "./store.ts";
import { startTestBus, type TestBus } from "./testing/test-bus.ts";
import { type DocumentChange, watchDocument } from "./watch-document.ts";

describe("a store", () => {
  let world: TestBus;
  const stop = new AbortController();

  beforeAll(async () => {
    world = await startTestBus({ syncAlways: true });
  });

  afterAll(async () => {
    stop.abort();
    await world.stop();
  });

  const nodeStore = async (): Promise<Store<typeof NodeSchema>> => {
    const store = openStore(await world.connectController(), { bucket: "nodes", schema: NodeSchema });
    await store.start(stop.signal);
    return store;
  };

  const node = (id: string, agentVersion = ""): Node => create(NodeSchema, { id, agentVersion });

  it("creates, updates and deletes by compare-and-set, visible at once here and soon elsewhere", async () => {
    const [mine, other] = [await nodeStore(), await nodeStore()];
    const created = await mine.create("a", node("a"));
    expect(mine.get("a")).toEqual(created);
    await expect(other.create("a", node("a"))).rejects.toSatisfy((error) => isKedgeError(error, "CONFLICT"));
    await expect.poll(() => other.get("a")?.revision).toBe(created.revision);
    const updated = await other.update("a", node("a", "2"), created.revision);
    await expect(mine.update("a", node("a", "3"), created.revision)).rejects.toSatisfy((error) =>
      isKedgeError(error, "CONFLICT"),
    );
    await expect.poll(() => mine.get("a")?.value.agentVersion).toBe("2");
    await expect(mine.delete("a", created.revision)).rejects.toSatisfy((error) => isKedgeError(error, "CONFLICT"));
    await mine.delete("a", updated.revision);
    expect(mine.get("a")).toBeUndefined();
    await expect.poll(() => other.get("a")).toBeUndefined();
    await other.create("a", node("a", "4"));
    await expect.poll(() => mine.get("a")?.value.agentVersion).toBe("4");
    const fresh = await nodeStore();
    expect([...fresh.entries()].map(([key]) => key)).toContain("a");
  });

  it("creates again after a delete it never saw", async () => {
    const mine = await nodeStore();
    const { revision } = await mine.create("gone", node("gone"));
    await mine.delete("gone", revision);
    const fresh = await nodeStore();
    await expect(fresh.create("gone", node("gone"))).resolves.toMatchObject({ value: { id: "gone" } });
  });

  it("refuses hostile keys and huge documents", async () => {
    const store = await nodeStore();
    for (const key of ["", "a.*", ">", "a b", "a\r\nPUB x", "..", "é"]) {
      await expect(store.create(key, node("x"))).rejects.toSatisfy((error) => isKedgeError(error, "INVALID_FIELD"));
    }
    const huge = node("x", "v".repeat(901 * 1024));
    await expect(store.create("x", huge)).rejects.toSatisfy((error) => isKedgeError(error, "TOO_LARGE"));
  });

  it("keeps two kinds of keys in one bucket apart", async () => {
    const bus = await world.connectController();
    const one = openStore(bus, { bucket: "models", schema: NodeSchema });
    const two = openStore(bus, { bucket: "models", schema: NodeSchema, keyTokens: 2 });
    await Promise.all([one.start(stop.signal), two.start(stop.signal)]);
    await one.create("m", node("m"));
    await two.create("m.1", node("m1"));
    const fresh = openStore(bus, { bucket: "models", schema: NodeSchema, keyTokens: 2 });
    await fresh.start(stop.signal);
    expect([...fresh.entries()].map(([key]) => key)).toEqual(["m.1"]);
  });

  it("holds one key of a bucket that others share", async () => {
    const bus = await world.connectController();
    const one = openStore(bus, { bucket: "policies", schema: NodeSchema, onlyKey: "one" });
    const two = openStore(bus, { bucket: "policies", schema: NodeSchema, onlyKey: "two" });
    await Promise.all([one.start(stop.signal), two.start(stop.signal)]);
    await one.create("one", node("1"));
    await two.create("two", node("2"));
    const fresh = openStore(bus, { bucket: "policies", schema: NodeSchema, onlyKey: "two" });
    await fresh.start(stop.signal);
    expect([...fresh.entries()].map(([key, { value }]) => [key, value.id])).toEqual([["two", "2"]]);
  });

  it("survives a killed server: what was acknowledged is there, and changes go on", async () => {
    const [mine, other] = [await nodeStore(), await nodeStore()];
    let known = await mine.create("s", node("s", "0"));
    const lastRevisions: number[] = [];
    other.onChange((key) => {
      if (key === "s") lastRevisions.push(other.get("s")?.revision ?? -1);
    });
    process.kill(world.nats.pid, "SIGKILL");
    for (let i = 1; i <= 3; i++) {
      // A write whose answer was lost may have been stored: read it back as any writer would.
      const attempt = async (): Promise<string> => {
        known = await mine
          .update("s", node("s", String(i)), mine.get("s")?.revision ?? known.revision)
          .catch(() => known);
        return mine.get("s")?.value.agentVersion ?? "";
      };
      await expect.poll(attempt, { timeout: 20_000, interval: 100 }).toBe(String(i));
    }
    await expect.poll(() => other.get("s")?.value.agentVersion, { timeout: 20_000 }).toBe("3");
    expect(lastRevisions).toEqual([...lastRevisions].sort((a, b) => a - b));
  });

  it("reaches agents as signed documents, through reconnects and deletes", async () => {
    const { signer } = world.authority;
    const bus = await world.connectController();
    const routes = openStore(bus, { bucket: "routes", schema: RouteSchema, signing: { signer, audience: () => "*" } });
    const own = openStore(bus, {
      bucket: "assignments",
      schema: AssignmentSchema,
      signing: { signer, audience: (k) => k },
    });
    await Promise.all([routes.start(stop.signal), own.start(stop.signal)]);
    const agent = await world.connectNode("n9");
    const changes: DocumentChange<typeof RouteSchema>[] = [];
    const verify = { key: signer.publicKey, audience: "n9" };
    const watch = watchDocument(
      agent.bus,
      { bucket: "routes", key: "d", schema: RouteSchema, verify },
      (c) => void changes.push(c),
    );
    await expect.poll(() => changes.at(-1)?.revision).toBe(0);
    const first = await routes.create("d", create(RouteSchema, { deployment: "d", generation: 1n }));
    await expect.poll(() => changes.at(-1)?.value?.generation).toBe(1n);
    await bus.jetstream.publish("$KV.routes.d", "not signed at all");
    process.kill(world.nats.pid, "SIGKILL");
    await expect.poll(() => agent.bus.epoch, { timeout: 20_000 }).toBeGreaterThan(0);
    await expect.poll(() => bus.connected, { timeout: 20_000 }).toBe(true);
    await routes.update("d", create(RouteSchema, { deployment: "d", generation: 2n }), first.revision + 1);
    await expect.poll(() => changes.at(-1)?.value?.generation, { timeout: 10_000 }).toBe(2n);
    await routes.delete("d");
    await expect.poll(() => changes.at(-1)?.value, { timeout: 10_000 }).toBeUndefined();
    const revisions = changes.map(({ revision }) => revision);
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
    watch.close();
  });
});
