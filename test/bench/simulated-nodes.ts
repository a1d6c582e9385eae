// A process that stands for thousands of nodes: their documents, heartbeats and lease renewals go over NATS as theirs
// would. It takes offers from nobody: what is placed stays offered. Not as real nodes: their documents are written here
// instead of by enrolment, since each of those makes a NATS account, and one connection carries what they send.
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { addNode, type Bus, connectBus, openAuthority, openStore, publishHeartbeat, renewLease } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { type CapacitySchema, HeartbeatSchema, LeaseRenewalSchema, NodeSchema, RuntimeKind } from "@kedge/proto";

const HEARTBEAT_MS = 2_000;
const LEASE_MS = 10_000;
const SLICE_MS = 50;
const IN_FLIGHT = 64;
const GPU_EVERY = 5;
const ZONES = ["a", "b", "c"];

const [dataDir = "", natsAddress = "", countText = ""] = process.argv.slice(2);
const count = Number(countText);
const names = Array.from({ length: count }, (_, i) => `sim-${String(i).padStart(5, "0")}`);
const authority = await openAuthority(join(dataDir, "authority"), { hosts: [] });
const credentials = await authority.controllerCredentials();
const abort = new AbortController();
const bus: Bus = await connectBus(
  {
    servers: [natsAddress],
    caPem: authority.caPem,
    ...credentials,
    name: "simulated-nodes",
    clock: systemClock,
    logger: silentLogger,
  },
  abort.signal,
);

const documents = openStore(bus, { bucket: "nodes", schema: NodeSchema });
await inParallel(names, async (id, i) => {
  await addNode(bus, id);
  await documents.create(id, create(NodeSchema, { id, labels: labelsOf(i), publicKey: `U${id}` }));
});
process.send?.("joined");

let sequence = 0n;
/** A slice of the nodes reports every few milliseconds, as independent nodes would. */
async function report(periodMs: number, send: (id: string, index: number) => unknown): Promise<void> {
  const slices = periodMs / SLICE_MS;
  for (let slice = 0; !abort.signal.aborted; slice = (slice + 1) % slices) {
    const began = performance.now();
    for (let i = slice; i < count; i += slices) send(names[i] ?? "", i);
    const restMs = SLICE_MS - (performance.now() - began);
    await systemClock.sleep(Math.max(1, restMs), abort.signal).catch(() => {});
  }
}

process.on("disconnect", () => abort.abort());
process.on("SIGTERM", () => abort.abort());
await Promise.all([
  report(HEARTBEAT_MS, (nodeId, index) => {
    sequence++;
    const runtimes = [RuntimeKind.PROCESS, RuntimeKind.DOCKER];
    const what = { capacity: capacityOf(index), runtimes, agentVersion: "bench", loadAverage: index % 7 };
    publishHeartbeat(bus, create(HeartbeatSchema, { nodeId, bootId: "boot-1", sequence, ...what }));
  }),
  report(LEASE_MS, (nodeId) => {
    renewLease(bus, create(LeaseRenewalSchema, { nodeId, bootId: "boot-1" })).catch(() => {});
  }),
]);
await bus.close();

function labelsOf(index: number): Record<string, string> {
  return { zone: ZONES[index % ZONES.length] ?? "", role: index % GPU_EVERY === 0 ? "train" : "build" };
}

function capacityOf(index: number): MessageInitShape<typeof CapacitySchema> {
  const base = { cpuMilli: 32_000, memoryMib: 131_072, diskMib: 1_000_000 };
  if (index % GPU_EVERY !== 0) return base;
  const gpus = Array.from({ length: 8 }, (_, gpu) => ({
    index: gpu,
    uuid: `GPU-${index}-${gpu}`,
    model: "NVIDIA H100 80GB HBM3",
    memoryMib: 81_559,
    driverVersion: "550.54.15",
  }));
  return { ...base, gpus };
}

async function inParallel<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      for (const [index, item] of queue) await work(item, index);
    }),
  );
}
