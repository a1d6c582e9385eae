import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { isKedgeError } from "@kedge/domain";
import {
  EventSchema,
  type Heartbeat,
  HeartbeatSchema,
  LeaseRenewalSchema,
  LogChunkSchema,
  type Window,
  WindowSchema,
} from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { getChunk, putChunk } from "./chunk-store.ts";
import { publishEvent, readEvents } from "./events.ts";
import { publishLog, readLogs } from "./logs.ts";
import {
  publishHeartbeat,
  publishWindow,
  renewLease,
  type StoredLease,
  subscribeHeartbeats,
  subscribeWindows,
  watchLeases,
} from "./node-messages.ts";
import { startTestBus, type TestBus, type TestNode } from "./testing/test-bus.ts";

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("messages of nodes", () => {
  let world: TestBus;
  let node: TestNode;

  beforeAll(async () => {
    world = await startTestBus();
    node = await world.connectNode("n1");
  });

  afterAll(async () => {
    await world.stop();
  });

  const chunk = (sequence: number, runId = "r1", job = "j1") =>
    create(LogChunkSchema, {
      ref: { nodeId: "n1", taskId: `${runId}-${job}-1`, runId, job, fence: 1 },
      sequence: BigInt(sequence),
      data: Buffer.alloc(2_000, sequence % 251),
    });

  it("reads the history of a log in order, then what follows", async () => {
    const count = 600;
    await Promise.all(Array.from({ length: count }, (_, i) => publishLog(node.bus, chunk(i + 1))));
    await publishLog(node.bus, chunk(1, "other"));
    const history: bigint[] = [];
    const { signal } = new AbortController();
    for await (const { sequence } of readLogs(world.bus, { runId: "r1", follow: false }, signal))
      history.push(sequence);
    expect(history).toEqual(Array.from({ length: count }, (_, i) => BigInt(i + 1)));
    const abort = new AbortController();
    let seen = 0;
    for await (const { sequence } of readLogs(world.bus, { runId: "r1", job: "j1", follow: true }, abort.signal)) {
      expect(sequence).toBe(BigInt(++seen));
      if (seen === count) await publishLog(node.bus, chunk(count + 1));
      if (seen === count + 1) abort.abort();
    }
    expect(seen).toBe(count + 1);
  });

  it("ends at once for a log that is empty, and skips tasks the caller does not accept", async () => {
    const { signal } = new AbortController();
    const all = await collect(readLogs(world.bus, { runId: "none", follow: false }, signal));
    expect(all).toEqual([]);
    const accept = (): boolean => false;
    expect(await collect(readLogs(world.bus, { runId: "other", follow: false, accept }, signal))).toEqual([]);
  });

  it("goes on reading a log over a server restart", async () => {
    const abort = new AbortController();
    const seen: bigint[] = [];
    const reading = (async () => {
      for await (const { sequence } of readLogs(world.bus, { runId: "r2", follow: true }, abort.signal))
        seen.push(sequence);
    })();
    await publishLog(node.bus, chunk(1, "r2"));
    await expect.poll(() => seen.length).toBe(1);
    process.kill(world.nats.pid, "SIGTERM");
    await expect.poll(() => node.bus.epoch, { timeout: 20_000 }).toBeGreaterThan(0);
    await publishLog(node.bus, chunk(2, "r2"));
    await publishLog(node.bus, chunk(3, "r2"));
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual([1n, 2n, 3n]);
    abort.abort();
    await reading;
  });

  it("tells leases with the server's time, the stored ones first", async () => {
    const abort = new AbortController();
    await renewLease(node.bus, create(LeaseRenewalSchema, { nodeId: "n1", bootId: "old" }));
    await renewLease(node.bus, create(LeaseRenewalSchema, { nodeId: "n1", bootId: "b1" }));
    const seen: StoredLease[] = [];
    const watching = watchLeases(world.bus, (lease) => void seen.push(lease), abort.signal);
    await expect.poll(() => seen.map(({ renewal }) => renewal.bootId)).toEqual(["b1"]);
    await renewLease(node.bus, create(LeaseRenewalSchema, { nodeId: "n1", bootId: "b2" }));
    await expect.poll(() => seen.map(({ renewal }) => renewal.bootId)).toEqual(["b1", "b2"]);
    expect(Math.abs((seen[0]?.atMs ?? 0) - world.bus.clock.now())).toBeLessThan(60_000);
    abort.abort();
    await watching;
  });

  it("drops heartbeats and windows about somebody else", async () => {
    const heartbeats: Heartbeat[] = [];
    const windows: Window[] = [];
    const stops = [
      subscribeHeartbeats(world.bus, (heartbeat) => void heartbeats.push(heartbeat)),
      subscribeWindows(world.bus, (window) => void windows.push(window)),
    ];
    await world.bus.connection.flush();
    const lie = toBinary(HeartbeatSchema, create(HeartbeatSchema, { nodeId: "n2" }));
    node.bus.connection.publish("kedge.node.n1.heartbeat", lie);
    node.bus.connection.publish("kedge.node.n1.heartbeat", "\xff\xff");
    publishHeartbeat(node.bus, create(HeartbeatSchema, { nodeId: "n1", bootId: "b" }));
    publishWindow(node.bus, create(WindowSchema, { nodeId: "n1", deployment: "d", sequence: 1n }));
    await expect.poll(() => windows.length).toBe(1);
    expect(heartbeats.map(({ nodeId, bootId }) => [nodeId, bootId])).toEqual([["n1", "b"]]);
    for (const stop of stops) stop();
  });

  it("stores chunks once, for controller and agents to read", async () => {
    const bytes = new TextEncoder().encode("weights");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(await putChunk(world.bus, bytes)).toEqual({ sha256, stored: true });
    expect(await putChunk(world.bus, bytes)).toEqual({ sha256, stored: false });
    expect(Buffer.from(await getChunk(node.bus, sha256)).toString()).toBe("weights");
    await expect(getChunk(world.bus, "0".repeat(64))).rejects.toSatisfy((error) =>
      isKedgeError(error, "CHUNK_NOT_FOUND"),
    );
    await world.bus.jetstream.publish(`kedge.chunk.${"1".repeat(64)}`, "wrong");
    await expect(getChunk(node.bus, "1".repeat(64))).rejects.toSatisfy((error) =>
      isKedgeError(error, "DIGEST_MISMATCH"),
    );
    await expect(putChunk(world.bus, new Uint8Array(256 * 1024 + 1))).rejects.toSatisfy((error) =>
      isKedgeError(error, "TOO_LARGE"),
    );
  });

  it("gives the newest events as history, then live ones", async () => {
    for (const reason of ["A", "B", "C"])
      await publishEvent(world.bus, create(EventSchema, { kind: "node", name: "n1", reason }));
    const seen: string[] = [];
    const abort = new AbortController();
    for await (const { reason } of readEvents(world.bus, { kind: "node", history: 2, follow: true }, abort.signal)) {
      seen.push(reason);
      if (seen.length === 2)
        await publishEvent(world.bus, create(EventSchema, { kind: "node", name: "n2", reason: "D" }));
      if (seen.length === 3) abort.abort();
    }
    expect(seen).toEqual(["B", "C", "D"]);
  });
});
