// Durable placements a second, end to end: a real controller with NATS that flushes every write, and thousands of
// simulated nodes. Runs of one job are submitted over gRPC; a placement counts when the run's stored document has it.
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus, openAuthority } from "@kedge/bus";
import { collect, createKedgeClient, type KedgeClient, readContexts } from "@kedge/client";
import { freePort, silentLogger, systemClock } from "@kedge/kernel";
import { JobState, NodeState } from "@kedge/proto";
import { startBenchCluster, until } from "./bench-cluster.ts";
import { StoredPlacements } from "./stored-placements.ts";

const NODES = Number(process.env["KEDGE_BENCH_NODES"] ?? 5_000);
const RUNS = Number(process.env["KEDGE_BENCH_RUNS"] ?? 20_000);
const CONNECTIONS = 4;
const IN_FLIGHT = 64;
const FLOOR_WRITES = 5_000;
const FLOOR_CALLS = 5_000;
const DOCUMENT_BYTES = 512;
/** kube-scheduler: scheduler-perf, kubernetes.io and CNCF write-ups; Nomad: hashicorp.com/c2m. */
const PUBLISHED =
  "kube-scheduler 680 to 810 pods/s (180 with GPU counts), Nomad C2M 1,500/s, each on hardware of its own";

/** Arguments of the controller's Node, e.g. "--cpu-prof --cpu-prof-dir=/tmp/profile". */
const execArgv = (process.env["KEDGE_BENCH_NODE_ARGS"] ?? "").split(" ").filter((argument) => argument !== "");
const script = fileURLToPath(new URL("./simulated-nodes.ts", import.meta.url));

interface Bench {
  readonly client: KedgeClient;
  readonly bus: Bus;
  readonly placements: StoredPlacements;
}

// Nobody claims the offers, so they end after a while: each part has a cluster of its own.
await withCluster(async (bench) => {
  await writeFloor(bench);
  await callFloor(bench);
  await submitAndPlace(bench);
});
await withCluster(placeBacklog);
console.log(`published elsewhere: ${PUBLISHED}`);

async function withCluster(measure: (bench: Bench) => Promise<void>): Promise<void> {
  const natsListen = `127.0.0.1:${await freePort()}`;
  await using cluster = await startBenchCluster([], { natsListen, execArgv });
  const context = (await readContexts({ KEDGE_CONFIG: join(cluster.dir, "config.json") })).contexts["local"];
  if (context === undefined) throw new Error("the controller saved no context");
  const client = createKedgeClient({ ...context, pool: CONNECTIONS });
  const bus = await connect(join(cluster.dir, "controller"), natsListen);
  const placements = new StoredPlacements();
  const watching = placements.watch(bus);
  const nodes = fork(script, [join(cluster.dir, "controller"), natsListen, String(NODES)]);
  try {
    await untilReady(client, nodes);
    await measure({ client, bus, placements });
  } finally {
    await end(nodes);
    await bus.close();
    await watching;
    client.close();
  }
}

/** (a) Everything has room at once. */
async function submitAndPlace({ client, placements }: Bench): Promise<void> {
  const began = performance.now();
  const ids = await submit(client, RUNS);
  const submitted = performance.now();
  const lastAt = await placements.all(ids);
  await assertOffered(client, ids);
  tell(
    `submitted ${perSecond(RUNS, submitted - began)}, placed and stored ${perSecond(RUNS, lastAt - began)}: ` +
      `${RUNS} runs, ${CONNECTIONS} connections, ${IN_FLIGHT} in flight`,
  );
}

/** (b) A backlog that waits for nodes. */
async function placeBacklog({ client, placements }: Bench): Promise<void> {
  const known = await everyNode(client);
  await inParallel(known, async ({ id: nodeId }) => {
    await client.nodes.cordonNode({ nodeId });
  });
  const submitBegan = performance.now();
  const ids = await submit(client, RUNS);
  tell(
    `backlog of ${RUNS} runs submitted ${perSecond(RUNS, performance.now() - submitBegan)} while every node is cordoned`,
  );
  if (placements.count(ids) > 0) throw new Error("a job was placed on a cordoned node");
  const began = performance.now();
  await inParallel(known, async ({ id: nodeId }) => {
    await client.nodes.uncordonNode({ nodeId });
  });
  const lastAt = await placements.all(ids);
  await assertOffered(client, ids);
  tell(`backlog placed and stored ${perSecond(RUNS, lastAt - began)} from the first node's uncordoning`);
}

async function submit(client: KedgeClient, count: number): Promise<string[]> {
  const ids: string[] = [];
  await inParallel(Array.from({ length: count }), async (_, i) => {
    const { run } = await client.runs.submitRun({ pipeline: { case: "pipelineSource", value: sourceOf(i) } });
    if (run === undefined) throw new Error("no run came back");
    ids.push(run.id);
  });
  return ids;
}

/** Three kinds of jobs: any node, one zone, one device. */
function sourceOf(i: number): string {
  const gpu = i % 10 === 0 ? ", gpu: { count: 1 }" : "";
  const zone = i % 3 === 0 ? "\n    runs-on: { zone: a }" : "";
  return `name: bench\njobs:\n  one:\n    resources: { cpu: 1, memory: 1Gi${gpu} }${zone}\n    steps:\n      - run: "true"\n`;
}

/** What the bucket says is what the controller says. */
async function assertOffered(client: KedgeClient, ids: readonly string[]): Promise<void> {
  const { run } = await client.runs.getRun({ runId: ids[0] ?? "" });
  if (run?.jobs[0]?.state !== JobState.OFFERED) throw new Error(`run ${run?.id} is not offered`);
}

async function everyNode(client: KedgeClient) {
  return await collect(
    (pageToken) => client.nodes.listNodes({ pageSize: 1000, pageToken }),
    (page) => page.nodes,
  );
}

async function untilReady(client: KedgeClient, nodes: ChildProcess): Promise<void> {
  const began = performance.now();
  await new Promise((resolve, reject) => {
    nodes.once("message", resolve);
    nodes.once("exit", (code) => reject(new Error(`the simulated nodes ended with ${code}`)));
  });
  await until(async () => {
    const known = await everyNode(client);
    return known.filter(({ state }) => state === NodeState.READY).length === NODES || undefined;
  }, "every node is ready");
  tell(`${NODES} nodes known and ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

async function end(nodes: ChildProcess): Promise<void> {
  if (!nodes.connected) return;
  nodes.disconnect();
  await new Promise((resolve) => nodes.once("exit", resolve));
}

async function writeFloor({ bus }: Bench): Promise<void> {
  await bus.manager.streams.add({ name: "BENCH", subjects: ["bench.*"], max_msgs_per_subject: 1 });
  const payload = new Uint8Array(DOCUMENT_BYTES);
  const began = performance.now();
  await inParallel(Array.from({ length: FLOOR_WRITES }), async (_, i) => {
    await bus.jetstream.publish(`bench.${i}`, payload, { expect: { lastSubjectSequence: 0 } });
  });
  tell(
    `floor: ${perSecond(FLOOR_WRITES, performance.now() - began)} acknowledged JetStream writes, ${IN_FLIGHT} in flight`,
  );
  await bus.manager.streams.delete("BENCH");
}

async function callFloor({ client }: Bench): Promise<void> {
  const began = performance.now();
  await inParallel(Array.from({ length: FLOOR_CALLS }), async () => {
    await client.tokens.whoAmI({});
  });
  tell(`floor: ${perSecond(FLOOR_CALLS, performance.now() - began)} unary calls, ${IN_FLIGHT} in flight`);
}

async function connect(dataDir: string, natsListen: string): Promise<Bus> {
  const authority = await openAuthority(join(dataDir, "authority"), { hosts: [] });
  const server = { servers: [natsListen], caPem: authority.caPem, name: "bench", clock: systemClock };
  const credentials = await authority.controllerCredentials();
  return await connectBus({ ...server, ...credentials, logger: silentLogger }, new AbortController().signal);
}

async function inParallel<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      for (const [index, item] of queue) await work(item, index);
    }),
  );
}

function perSecond(count: number, ms: number): string {
  return `${Math.round((count / ms) * 1000).toLocaleString("en")}/s`;
}

function tell(line: string): void {
  console.log(line);
}
