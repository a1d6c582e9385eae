import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Bus,
  claimTask,
  connectBus,
  type DocumentWatch,
  describeSealKey,
  NODE_API_PREFIX,
  nodeInboxPrefix,
  openSecrets,
  publishHeartbeat,
  publishTaskEvent,
  publishWindow,
  pullOffers,
  renewLease,
  watchDocument,
} from "@kedge/bus";
import { secureBytes, silentLogger, systemClock } from "@kedge/kernel";
import {
  type Assignment,
  AssignmentSchema,
  type CapacitySchema,
  HeartbeatSchema,
  LeaseRenewalSchema,
  type NodeService,
  ReplicaState,
  RevisionWindowSchema,
  type Route,
  RouteSchema,
  RuntimeKind,
  type SealKey,
  type TaskEvent,
  TaskEventSchema,
  TaskFinishedSchema,
  type TaskOffer,
  type TaskRefFull,
  TaskStartedSchema,
  TaskState,
  WindowSchema,
} from "@kedge/proto";
import type { RpcClient } from "@kedge/rpc";
import { createUser } from "@nats-io/nkeys";

/** How a task ends. */
export type Outcome = MessageInitShape<typeof TaskFinishedSchema>;

/** What the agent answers to an offer; undefined: it never ends the task. */
export type Script = (offer: TaskOffer) => Outcome | undefined;

/** What a node serves to one gateway tick: errors per 100 requests of each revision, and what its answers are like. */
export interface Traffic {
  readonly errorPercent: (revision: number) => number;
  readonly requests: number;
  /** Response times of a revision: evenly from half of this to one and a half times it. */
  readonly latencyMs?: (revision: number) => number;
  /** Share of a revision's answers that are labelled "yes", in percent; the others are labelled "no". */
  readonly yesPercent?: (revision: number) => number;
  /** What else it tells of so many requests to a revision: users' metrics, and what its replicas were exposed to. */
  readonly tells?: (revision: number, requests: number) => MessageInitShape<typeof RevisionWindowSchema>;
  /** Share of the mirrored answers that differ from the users', in percent. */
  readonly differingPercent?: number;
}

interface JoinOptions {
  readonly nodeId: string;
  readonly joinToken: string;
  readonly client: RpcClient<typeof NodeService>;
}

const BEAT_MS = 100;

/** A node that speaks the real protocol over a real connection, does no work, and answers what its script says. */
export class ScriptedAgent {
  readonly nodeId: string;
  readonly bus: Bus;
  /** Every offer taken, in order, across restarts of the controller. */
  readonly offers: TaskOffer[] = [];
  script: Script = () => ({ state: TaskState.SUCCEEDED });
  claims = true;
  beats = true;
  lists = true;
  /** Ends what it is told to end. */
  obeys = true;
  /** What it reports to have. */
  capacity: MessageInitShape<typeof CapacitySchema> = { cpuMilli: 4000, memoryMib: 8192, diskMib: 100_000 };
  traffic: Traffic | undefined;
  /** What it reports of each replica. */
  replicaState: (revision: number, replicaId: string) => ReplicaState = () => ReplicaState.READY;
  /** Times it says that it has restarted each replica. */
  restarts: (revision: number, replicaId: string) => number = () => 0;
  freeDiskMib: bigint | undefined;
  /** The node's labels, as far as it knows them: routes may differ by them. */
  labels: Readonly<Record<string, string>> = {};
  /** What secrets are sealed to; undefined: it tells none, as agents once did. */
  sealKey: SealKey | undefined;
  readonly #sealSecret = secureBytes(32);
  assignment: Assignment | undefined;
  readonly routes = new Map<string, Route>();
  readonly #running = new Map<string, TaskRefFull>();
  readonly #abort = new AbortController();
  readonly #watches = new Map<string, DocumentWatch>();
  readonly #loops: Promise<unknown>[] = [];
  #sequence = 0n;

  private constructor(nodeId: string, bus: Bus) {
    this.nodeId = nodeId;
    this.bus = bus;
  }

  static async join({ nodeId, joinToken, client }: JoinOptions): Promise<ScriptedAgent> {
    const payload = JSON.parse(Buffer.from(joinToken.slice("kedge-join.".length), "base64url").toString());
    const user = createUser();
    const proof = user.sign(Buffer.from(`kedge-enroll:${payload.id}:${nodeId}`));
    const names = { tokenId: payload.id, tokenSecret: payload.secret, nodeId, publicKey: user.getPublicKey() };
    const reply = await client.enroll({ ...names, proof });
    const bus = await connectBus(
      {
        servers: reply.natsServers,
        caPem: reply.caPem,
        jwt: reply.natsJwt,
        seed: user.getSeed(),
        name: nodeId,
        inboxPrefix: nodeInboxPrefix(nodeId),
        apiPrefix: NODE_API_PREFIX,
        clock: systemClock,
        logger: silentLogger,
      },
      new AbortController().signal,
    );
    const agent = new ScriptedAgent(nodeId, bus);
    agent.sealKey = describeSealKey(nodeId, user.getSeed(), agent.#sealSecret);
    agent.#start(reply.controllerKey);
    return agent;
  }

  /** Heartbeats and windows sent so far. */
  get messagesSent(): number {
    return Number(this.#sequence);
  }

  /** The secrets of an offer as text, by name. @throws KedgeError SIGNATURE_INVALID when they are not this node's. */
  secretsOf({ sealedSecrets }: TaskOffer, ref: TaskRefFull): Record<string, string> {
    const values = openSecrets(sealedSecrets, this.#sealSecret, ref);
    return Object.fromEntries([...values].map(([name, value]) => [name, Buffer.from(value).toString()]));
  }

  async finish(ref: TaskRefFull, finished: Outcome): Promise<void> {
    this.#running.delete(ref.taskId);
    await this.publish(ref, { case: "finished", value: create(TaskFinishedSchema, finished) });
  }

  async publish(ref: TaskRefFull, event: TaskEvent["event"]): Promise<void> {
    const at = timestampFromMs(systemClock.now());
    await publishTaskEvent(this.bus, create(TaskEventSchema, { ref, at, event }));
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    for (const watch of this.#watches.values()) watch.close();
    await this.bus.close();
    await Promise.allSettled(this.#loops);
  }

  #start(controllerKey: string): void {
    const { signal } = this.#abort;
    this.#loops.push(this.#work(controllerKey, signal), this.#beat(signal));
    const verify = { key: controllerKey, audience: this.nodeId };
    const wanted = { bucket: "assignments", key: this.nodeId, schema: AssignmentSchema, verify } as const;
    const onAssignment = ({ value }: { readonly value: Assignment | undefined }): void => {
      this.assignment = value;
      for (const { deployment } of value?.replicas ?? []) this.#follow(deployment, controllerKey);
      if (this.obeys) this.obey();
    };
    this.#watches.set("", watchDocument(this.bus, wanted, onAssignment));
  }

  /** Follows a deployment's route, as a gateway does. */
  #follow(deployment: string, controllerKey: string): void {
    if (this.#watches.has(deployment)) return;
    const verify = { key: controllerKey, audience: "*" };
    const wanted = { bucket: "routes", key: deployment, schema: RouteSchema, verify } as const;
    const onRoute = ({ value }: { readonly value: Route | undefined }): void => {
      if (value === undefined) this.routes.delete(deployment);
      else this.routes.set(deployment, value);
    };
    this.#watches.set(deployment, watchDocument(this.bus, wanted, onRoute));
  }

  async #work(controllerKey: string, signal: AbortSignal): Promise<void> {
    for await (const { offer, ack } of pullOffers(this.bus, { nodeId: this.nodeId, controllerKey }, signal)) {
      if (!this.claims || offer.ref === undefined) continue;
      const outcome = await claimTask(this.bus, offer.ref, "boot-1");
      await ack();
      if (outcome === "lost") continue;
      this.offers.push(offer);
      this.#running.set(offer.ref.taskId, offer.ref);
      await this.publish(offer.ref, { case: "started", value: create(TaskStartedSchema) });
      const finished = this.script(offer);
      if (finished !== undefined) await this.finish(offer.ref, finished);
    }
  }

  /** Ends what the assignment cancels. */
  obey(): void {
    for (const { taskId } of this.assignment?.cancelledTasks ?? []) {
      const ref = this.#running.get(taskId);
      if (ref !== undefined) this.#loops.push(this.finish(ref, { state: TaskState.CANCELLED }).catch(() => {}));
    }
  }

  async #beat(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn++) {
      if (this.beats && this.bus.connected) {
        if (turn % 20 === 0) {
          const lease = create(LeaseRenewalSchema, { nodeId: this.nodeId, bootId: "boot-1" });
          await renewLease(this.bus, lease).catch(() => {});
        }
        this.#heartbeat();
        this.#windows();
      }
      await systemClock.sleep(BEAT_MS, signal).catch(() => {});
    }
  }

  #heartbeat(): void {
    const replicas = this.assignment?.replicas ?? [];
    publishHeartbeat(
      this.bus,
      create(HeartbeatSchema, {
        nodeId: this.nodeId,
        bootId: "boot-1",
        sequence: ++this.#sequence,
        capacity: this.capacity,
        runtimes: [RuntimeKind.PROCESS],
        agentVersion: "test",
        runningTasks: this.lists ? [...this.#running.values()].map(({ taskId, fence }) => ({ taskId, fence })) : [],
        replicas: replicas.map(({ replicaId, deployment, revision }) => {
          const state = this.replicaState(revision, replicaId);
          return { replicaId, deployment, revision, state, restarts: this.restarts(revision, replicaId) };
        }),
        routes: [...this.routes.values()].map(({ deployment, generation }) => ({ deployment, generation })),
        assignmentGeneration: this.assignment?.generation ?? 0n,
        ...(this.sealKey === undefined ? {} : { sealKey: this.sealKey }),
        ...(this.freeDiskMib === undefined ? {} : { freeDiskMib: this.freeDiskMib }),
      }),
    );
  }

  #windows(): void {
    if (this.traffic === undefined) return;
    for (const route of this.routes.values()) {
      const traffic = this.traffic;
      const revisions = splitsOf(route, this.labels).map(({ revision, basisPoints }) => {
        const share = Math.round((traffic.requests * basisPoints) / 10_000);
        const errors = Math.round((share * traffic.errorPercent(revision)) / 100);
        const own = { revision, basisPoints, requests: share, errors, ...answersOf(traffic, revision, share) };
        const { metrics, exposure } = create(RevisionWindowSchema, traffic.tells?.(revision, share));
        return create(RevisionWindowSchema, { ...own, metrics, ...(exposure === undefined ? {} : { exposure }) });
      });
      const names = { nodeId: this.nodeId, deployment: route.deployment, bootId: "boot-1" };
      const shadows = route.mirrors.map(({ revision, basisPoints }) => {
        const compared = Math.round((traffic.requests * basisPoints) / 10_000);
        const differing = Math.round((compared * (traffic.differingPercent ?? 0)) / 100);
        return { answers: { revision, requests: compared }, compared, differing };
      });
      const times = { from: timestampFromMs(systemClock.now() - BEAT_MS), to: timestampFromMs(systemClock.now()) };
      const about = { ...names, ...times, sequence: ++this.#sequence, routeGeneration: route.generation };
      const window = { ...about, revisions, shadows };
      publishWindow(this.bus, create(WindowSchema, window));
    }
  }
}

const BOUNDS_MS = Array.from({ length: 46 }, (_, i) => 0.1 * 10 ** (i / 8));

/** The splits that a node with these labels applies. */
function splitsOf({ splits, waves }: Route, labels: Readonly<Record<string, string>>): Route["splits"] {
  const own = waves.find(({ nodeSelector }) =>
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value),
  );
  return own?.splits ?? splits;
}

function answersOf({ latencyMs, yesPercent }: Traffic, revision: number, requests: number) {
  const yes = Math.round((requests * (yesPercent?.(revision) ?? 0)) / 100);
  return {
    ...(latencyMs && { latencyMs: { bounds: BOUNDS_MS, counts: latencyCounts(latencyMs(revision), requests) } }),
    ...(yesPercent && { predictions: { yes, no: requests - yes } }),
  };
}

function latencyCounts(middleMs: number, requests: number): number[] {
  const counts = new Array<number>(BOUNDS_MS.length + 1).fill(0);
  for (let i = 0; i < requests; i++) {
    const ms = middleMs * (0.5 + (i + 0.5) / requests);
    const bucket = BOUNDS_MS.findIndex((bound) => ms <= bound);
    const at = bucket < 0 ? BOUNDS_MS.length : bucket;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}
