// One rollback over fleets of 1 to 1,000 serving nodes: from the decision to the route's arrival at the last of them,
// beside the floor: one put of another route, which nobody decides on, to the same connections in the same run.
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { connectBus, openAuthority, openStore, type Store } from "@kedge/bus";
import { freePort, silentLogger, systemClock } from "@kedge/kernel";
import { parseDeployment } from "@kedge/pipeline";
import { type Deployment, RolloutState, RouteSchema } from "@kedge/proto";
import { startBenchCluster, until } from "./bench-cluster.ts";
import type { Arrival } from "./simulated-serving-nodes.ts";

const SIZES = (process.env["KEDGE_BENCH_FLEETS"] ?? "1,10,100,1000").split(",").map(Number);
const NAME = "fleet";
const FLOOR = "floor";
const FLOOR_PUTS = 5;
const script = fileURLToPath(new URL("./simulated-serving-nodes.ts", import.meta.url));

for (const size of SIZES) console.log(await measure(size));

async function measure(size: number): Promise<string> {
  const natsListen = `127.0.0.1:${await freePort()}`;
  await using cluster = await startBenchCluster([], { natsListen });
  const env = { ...process.env, KEDGE_CONFIG: join(cluster.dir, "config.json") };
  const fleet = fork(script, [NAME, String(size)], { env });
  const { bus, authority } = await connect(join(cluster.dir, "controller"), natsListen);
  const signing = { signer: authority.signer, audience: () => "*" };
  const look = async (): Promise<Deployment | undefined> =>
    (await cluster.client.deployments.getDeployment({ name: NAME })).deployment;
  const reached = (state: RolloutState, revision: number): Promise<Deployment> =>
    until(
      async () => {
        const seen = await look();
        return seen?.rollout?.state === state && seen.rollout.toRevision === revision ? seen : undefined;
      },
      `revision ${revision} is ${RolloutState[state]}`,
      600_000,
    );
  try {
    await joined(fleet);
    await apply(1);
    await reached(RolloutState.SUCCEEDED, 1);
    const floorMs = await floor(openStore(bus, { bucket: "routes", schema: RouteSchema, signing }), fleet, size);
    await apply(2);
    const back = await reached(RolloutState.ROLLED_BACK, 2);
    return report(back, await arrivals(fleet), floorMs);
  } finally {
    await bus.close();
    await end(fleet);
  }

  async function apply(revision: number): Promise<void> {
    const { spec, diagnostics } = parseDeployment(`
deployment: ${NAME}
image: registry.example/app:${revision}
port: 80
replicas-per-node: 1
canary: { steps: [{ weight: 10, hold: 300s }, 100] }
`);
    if (spec === undefined) throw new Error(diagnostics[0]?.message);
    await cluster.client.deployments.applyDeployment({ spec });
  }
}

function report({ rollout, replicas, route }: Deployment, nodes: readonly Arrival[][], floorMs: number): string {
  const step = rollout?.transitions.find(({ to }) => to === RolloutState.ROLLING_BACK);
  if (step?.at === undefined) throw new Error("the rollout was never rolled back");
  const decidedAt = timestampMs(step.at);
  const generation = Number(route?.generation);
  // The first route after the decision is the one without the bad revision.
  const times = nodes.map(
    (own) => own.find(({ at, generation }) => generation > 0 && at >= decidedAt)?.at ?? Number.NaN,
  );
  if (times.some(Number.isNaN)) throw new Error("a node never got the route");
  if (route?.splits.length !== 1) throw new Error(`the route still has ${route?.splits.length} splits (${generation})`);
  const afterMs = times.map((at) => at - decidedAt).toSorted((a, b) => a - b);
  const last = afterMs.at(-1) ?? Number.NaN;
  return (
    `${nodes.length} nodes, ${replicas.length} replicas: decision to the first node's route ${afterMs[0]} ms, to the last ` +
    `${last} ms; floor, one put to the last node ${floorMs} ms; decided by ${rollout?.verdict?.metric}`
  );
}

/** Median over some puts of the time from the put to the last node's message. */
async function floor(routes: Store<typeof RouteSchema>, fleet: ChildProcess, size: number): Promise<number> {
  const spans: number[] = [];
  let revision = 0;
  for (let put = 1; put <= FLOOR_PUTS; put++) {
    const route = create(RouteSchema, { deployment: FLOOR, generation: BigInt(put), reason: "nobody decides on it" });
    const at = systemClock.now();
    const stored = revision === 0 ? routes.create(FLOOR, route) : routes.update(FLOOR, route, revision);
    revision = (await stored).revision;
    const seen = await until(async () => {
      const all = (await arrivals(fleet)).flat().filter(({ generation }) => generation === 0);
      return all.length === size * put ? all : undefined;
    }, "every node has the other route");
    spans.push(Math.max(...seen.map((arrival) => arrival.at)) - at);
  }
  return spans.toSorted((a, b) => a - b)[Math.floor(FLOOR_PUTS / 2)] ?? Number.NaN;
}

function arrivals(fleet: ChildProcess): Promise<Arrival[][]> {
  return new Promise((resolve) => {
    fleet.once("message", (message) => resolve(message as Arrival[][]));
    fleet.send("arrivals");
  });
}

function joined(fleet: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    fleet.once("message", () => resolve());
    fleet.once("exit", (code) => reject(new Error(`the simulated nodes ended with ${code}`)));
  });
}

async function connect(dataDir: string, natsListen: string) {
  const authority = await openAuthority(join(dataDir, "authority"), { hosts: [] });
  const server = { servers: [natsListen], caPem: authority.caPem, name: "bench", clock: systemClock };
  const credentials = await authority.controllerCredentials();
  const options = { ...server, ...credentials, logger: silentLogger };
  return { bus: await connectBus(options, new AbortController().signal), authority };
}

async function end(fleet: ChildProcess): Promise<void> {
  if (!fleet.connected) return;
  fleet.disconnect();
  await new Promise((resolve) => fleet.once("exit", resolve));
}
