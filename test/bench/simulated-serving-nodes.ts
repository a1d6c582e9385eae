// A process that stands for many serving nodes. Each has an account, a key and a connection of its own, is enrolled over
// gRPC, and follows its assignment and the deployment's route as an agent does; it says that its replicas are ready and
// what its gateway would have seen. It starts no replica, and notes when each route reached it.
import { create } from "@bufbuild/protobuf";
import {
  type Bus,
  connectBus,
  NODE_API_PREFIX,
  nodeInboxPrefix,
  publishHeartbeat,
  publishWindow,
  renewLease,
  subjects,
  verifySignedBytes,
  watchDocument,
} from "@kedge/bus";
import { createKedgeClient, loadContext } from "@kedge/client";
import { silentLogger, systemClock } from "@kedge/kernel";
import {
  type Assignment,
  AssignmentSchema,
  HeartbeatSchema,
  LeaseRenewalSchema,
  ReplicaState,
  type Route,
  RouteSchema,
  RuntimeKind,
  WindowSchema,
} from "@kedge/proto";
import { createUser } from "@nats-io/nkeys";

const HEARTBEAT_MS = 2_000;
const LEASE_MS = 10_000;
const AT_ONCE = 16;
/** All nodes together; every fifth answer of the bad revision is a failure. */
const REQUESTS_PER_SECOND = 2_000;
const BAD_REVISION = 2;
const BAD_SHARE = 0.2;
const FLOOR = "floor";

/** When a route, or the bare document that is the floor, reached a node; milliseconds since 1970. */
export interface Arrival {
  readonly generation: number;
  readonly at: number;
}

const [deployment = "", countText = "1"] = process.argv.slice(2);
const count = Number(countText);
const abort = new AbortController();
const client = createKedgeClient(await loadContext({}));

class ServingNode {
  readonly arrivals: Arrival[] = [];
  readonly #id: string;
  readonly #bus: Bus;
  readonly #controllerKey: string;
  #assignment: Assignment | undefined;
  #route: Route | undefined;
  #sequence = 0n;

  constructor(id: string, bus: Bus, controllerKey: string) {
    this.#id = id;
    this.#bus = bus;
    this.#controllerKey = controllerKey;
    const verify = { key: controllerKey, audience: id };
    watchDocument(bus, { bucket: "assignments", key: id, schema: AssignmentSchema, verify }, ({ value }) => {
      this.#assignment = value;
      this.heartbeat();
    });
    for (const key of [deployment, FLOOR]) {
      const callback = (_: Error | null, { data }: { readonly data: Uint8Array }): void => this.#arrived(key, data);
      bus.connection.subscribe(subjects.document("routes", key), { callback });
    }
  }

  heartbeat(): void {
    const ready = (this.#assignment?.replicas ?? []).map(({ replicaId, revision }) => {
      return { replicaId, deployment, revision, state: ReplicaState.READY };
    });
    const routes = this.#route === undefined ? [] : [{ deployment, generation: this.#route.generation }];
    publishHeartbeat(
      this.#bus,
      create(HeartbeatSchema, {
        ...{ nodeId: this.#id, bootId: "boot-1", sequence: ++this.#sequence, agentVersion: "bench", routes },
        capacity: { cpuMilli: 4000, memoryMib: 8192, diskMib: 100_000 },
        runtimes: [RuntimeKind.DOCKER],
        replicas: ready,
        assignmentGeneration: this.#assignment?.generation ?? 0n,
      }),
    );
  }

  async renew(): Promise<void> {
    await renewLease(this.#bus, create(LeaseRenewalSchema, { nodeId: this.#id, bootId: "boot-1" })).catch(() => {});
  }

  /** What passed since the last tick, by the route in force. */
  window(ms: number): void {
    if (this.#route === undefined) return;
    const total = (REQUESTS_PER_SECOND * ms) / 1000 / count;
    const revisions = this.#route.splits.map(({ revision, basisPoints }) => {
      const requests = byChance((total * basisPoints) / 10_000);
      const errors = revision === BAD_REVISION ? byChance(requests * BAD_SHARE) : 0;
      return { revision, basisPoints, requests, errors: Math.min(requests, errors) };
    });
    const names = { nodeId: this.#id, deployment, bootId: "boot-1", sequence: ++this.#sequence };
    publishWindow(this.#bus, create(WindowSchema, { ...names, routeGeneration: this.#route.generation, revisions }));
  }

  get windowMs(): number {
    return this.#route?.windowMs ?? HEARTBEAT_MS;
  }

  async close(): Promise<void> {
    await this.#bus.close();
  }

  /** Real nodes check the signature on their own processors: here that comes after all of them have the message. */
  #arrived(key: string, data: Uint8Array): void {
    const at = systemClock.now();
    if (key === FLOOR) this.arrivals.push({ generation: 0, at });
    else setImmediate(() => this.#take(data, at));
  }

  #take(data: Uint8Array, at: number): void {
    this.#route = verifySignedBytes(RouteSchema, data, { key: this.#controllerKey, audience: "*" });
    this.arrivals.push({ generation: Number(this.#route.generation), at });
  }
}

const nodes: ServingNode[] = [];
const { token } = await client.nodes.createJoinToken({ uses: count });
const queue = Array.from({ length: count }, (_, i) => `serve-${String(i).padStart(4, "0")}`).values();
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (const id of queue) nodes.push(await join(id));
  }),
);
process.send?.("joined");
process.on("message", (wanted) => process.send?.(wanted === "arrivals" ? nodes.map((node) => node.arrivals) : []));
process.on("disconnect", () => abort.abort());
process.on("SIGTERM", () => abort.abort());
await Promise.all([
  each(
    () => HEARTBEAT_MS,
    (node) => node.heartbeat(),
  ),
  each(
    () => LEASE_MS,
    (node) => void node.renew(),
  ),
  each(
    () => nodes[0]?.windowMs ?? HEARTBEAT_MS,
    (node, ms) => node.window(ms),
  ),
]);
await Promise.all(nodes.map((node) => node.close()));
client.close();

async function join(nodeId: string): Promise<ServingNode> {
  const { id: tokenId, secret: tokenSecret } = JSON.parse(
    Buffer.from(token.slice("kedge-join.".length), "base64url").toString(),
  );
  const user = createUser();
  const proof = user.sign(Buffer.from(`kedge-enroll:${tokenId}:${nodeId}`));
  const publicKey = user.getPublicKey();
  const reply = await client.nodes.enroll({ tokenId, tokenSecret, nodeId, publicKey, proof });
  const names = { name: nodeId, inboxPrefix: nodeInboxPrefix(nodeId), apiPrefix: NODE_API_PREFIX };
  const login = { servers: reply.natsServers, caPem: reply.caPem, jwt: reply.natsJwt, seed: user.getSeed() };
  const bus = await connectBus({ ...login, ...names, clock: systemClock, logger: silentLogger }, abort.signal);
  return new ServingNode(nodeId, bus, reply.controllerKey);
}

/** Does it for every node once a period, spread over the period as independent nodes would. */
async function each(periodMs: () => number, act: (node: ServingNode, ms: number) => void): Promise<void> {
  while (!abort.signal.aborted) {
    const ms = periodMs();
    const slices = Math.max(1, Math.floor(ms / 50));
    for (let slice = 0; slice < slices && !abort.signal.aborted; slice++) {
      for (let i = slice; i < nodes.length; i += slices) act(nodes[i] as ServingNode, ms);
      await systemClock.sleep(ms / slices, abort.signal).catch(() => {});
    }
  }
}

/** A whole number with this mean. */
function byChance(mean: number): number {
  return Math.floor(mean) + (Math.random() < mean % 1 ? 1 : 0);
}
