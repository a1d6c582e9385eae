import { type BackendTables, backendTables, NO_TABLES } from "./backend-tables.ts";
import { countedShares, layOutShares, type PointRange } from "./choice-table.ts";
import { effectiveSplit } from "./effective-split.ts";
import type { GatewayCapacity, GatewayService } from "./gateway-options.ts";
import type { RouteRules } from "./route-rules.ts";

/** HAProxy's largest server weight. */
const MOST_WEIGHT = 256;

/** What one of HAProxy's server slots holds. */
export interface PlannedServer {
  readonly replicaId: string;
  readonly revision: number;
  readonly host: string;
  readonly port: number;
  /** Of the balancing that serves a split of one revision, and finds a replica for requests that got no answer. */
  readonly weight: number;
  /** Until then it is warming up: what it answers is not judged. Milliseconds since 1970. */
  readonly warmUntilMs: number;
  /** And until it has answered so many requests; 0 once it has. */
  readonly warmAfter: number;
  /** Set once the endpoint was removed: it finishes what it has and gets nothing new. */
  readonly draining: boolean;
  /** Epoch in which it was removed; 0 while in use. Slots longest out of use are taken first. */
  readonly releasedIn: number;
}

/** Share of one revision. */
export interface PlannedShare {
  readonly revision: number;
  /** As the route and readiness want it. */
  readonly basisPoints: number;
  /** Of the requests that are judged: those to replicas that have warmed up. */
  readonly judged: number;
}

/**
 * One split of one deployment. Its number goes into HAProxy's maps and from there into every log line, so that a request
 * is always counted under the split it was routed by.
 */
export interface SplitEpoch {
  readonly epoch: number;
  readonly deployment: string;
  /** Decimal, as JSON has no 64-bit numbers. */
  readonly generation: string;
  readonly windowMs: number;
  readonly shares: readonly PlannedShare[];
  /** Revision held by each server slot; 0 for none. */
  readonly slotRevisions: readonly number[];
  /** Slots whose requests are not judged. */
  readonly warmingSlots: readonly number[];
  /** Replicas that have requests to answer before they are warm, whether there is anything to judge or not. */
  readonly cold: readonly ColdReplica[];
}

/** A replica that is warm once it has answered so many requests. */
export interface ColdReplica {
  readonly slot: number;
  readonly replicaId: string;
  readonly warmAfter: number;
}

/** One of HAProxy's backends; without a split it is free. */
export interface PlannedBackend {
  readonly split: SplitEpoch | undefined;
  readonly servers: readonly (PlannedServer | undefined)[];
  readonly tables: BackendTables;
}

/** Everything HAProxy is to hold. The index of a backend or server is its name: `s0`, `e1`. */
export interface GatewayPlan {
  readonly nextEpoch: number;
  readonly backends: readonly PlannedBackend[];
}

/** A plan, or what there are not enough of. */
export type PlanResult = { kind: "planned"; plan: GatewayPlan } | { kind: "full"; of: "backends" | "servers" };

/** Tells whether a released slot may still have requests in flight. */
export type IsBusy = (backend: number, slot: number) => boolean;

/** What planning needs to know besides the services. */
export interface PlanOptions {
  readonly isBusy: IsBusy;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Requests that a replica has answered since it is cold. */
  answered(deployment: string, replicaId: string): number;
}

/** A plan that serves nothing. */
export function emptyPlan(capacity: GatewayCapacity): GatewayPlan {
  return grownPlan({ nextEpoch: 1, backends: [] }, capacity);
}

/** The same plan with at least this many backends and servers. */
export function grownPlan(plan: GatewayPlan, capacity: GatewayCapacity): GatewayPlan {
  const count = Math.max(capacity.backends, plan.backends.length);
  const backends = Array.from({ length: count }, (_, i) => {
    const backend = plan.backends[i];
    const slots = Math.max(capacity.serversPerBackend, backend?.servers.length ?? 0);
    const servers = Array.from({ length: slots }, (_, j) => backend?.servers[j]);
    return { split: backend?.split, servers, tables: backend?.tables ?? NO_TABLES };
  });
  return { ...plan, backends };
}

/**
 * The plan that serves these deployments, changing as little as possible: endpoints keep their slots, and a deployment
 * whose split, slots and route did not change keeps its epoch. Pure.
 */
export function planServices(
  previous: GatewayPlan,
  services: readonly GatewayService[],
  options: PlanOptions,
): PlanResult {
  const wanted = new Map(services.map((service) => [service.deployment, service]));
  const backends = previous.backends.map((backend) =>
    backend.split && !wanted.has(backend.split.deployment) ? emptied(backend, previous.nextEpoch) : backend,
  );
  let nextEpoch = previous.nextEpoch;
  for (const service of wanted.values()) {
    const index = backendFor(backends, service.deployment, options.isBusy);
    const backend = backends[index];
    if (backend === undefined) return { kind: "full", of: "backends" };
    const isBusy = (slot: number) => options.isBusy(index, slot);
    const answered = (replicaId: string) => options.answered(service.deployment, replicaId);
    const planned = planBackend(backend, service, { nowMs: options.nowMs, epoch: nextEpoch, isBusy, answered });
    if (planned === undefined) return { kind: "full", of: "servers" };
    backends[index] = planned;
    nextEpoch = Math.max(nextEpoch, (planned.split?.epoch ?? 0) + 1);
  }
  return { kind: "planned", plan: { nextEpoch, backends } };
}

/** When the next endpoint will have warmed up, milliseconds since 1970; undefined when all have. */
export function nextWarmMs(plan: GatewayPlan, nowMs: number): number | undefined {
  const times = plan.backends.flatMap(({ servers }) => servers.map((server) => server?.warmUntilMs ?? 0));
  const coming = times.filter((time) => time > nowMs);
  return coming.length === 0 ? undefined : Math.min(...coming);
}

interface BackendOptions {
  readonly epoch: number;
  readonly nowMs: number;
  readonly answered: (replicaId: string) => number;
  readonly isBusy: (slot: number) => boolean;
}

function emptied(backend: PlannedBackend, epoch: number): PlannedBackend {
  return {
    split: undefined,
    servers: backend.servers.map((server) => released(server, epoch)),
    tables: NO_TABLES,
  };
}

function backendFor(backends: readonly PlannedBackend[], deployment: string, isBusy: IsBusy): number {
  const own = backends.findIndex((backend) => backend.split?.deployment === deployment);
  if (own >= 0) return own;
  const isIdle = (backend: PlannedBackend, index: number) =>
    backend.split === undefined &&
    backend.servers.every((server, slot) => server === undefined || !isBusy(index, slot));
  return backends.findIndex(isIdle);
}

function planBackend(
  backend: PlannedBackend,
  service: GatewayService,
  options: BackendOptions,
): PlannedBackend | undefined {
  const placed = placeEndpoints(backend.servers, service, options);
  if (placed === undefined) return undefined;
  const slots = slotsByRevision(placed);
  const counts = new Map([...slots].map(([revision, each]) => [revision, each.length]));
  const { route } = service;
  const shares = effectiveSplit(route, counts);
  const ranges = layOutShares(shares, slots, route.stableRevision);
  const tablesOf = (epoch: number) => {
    const rules: RouteRules = { ...route, ...(shares.size < 2 && { sticky: undefined }) };
    const tables = backendTables({ epoch, ranges, slots, rules });
    return isPlain(shares, tables, ranges) ? NO_TABLES : tables;
  };
  const split = planSplit(service, { placed, shares, ranges, options });
  const servers = placed.map((server) =>
    server === undefined || server.draining
      ? server
      : { ...server, weight: weightOf(server.revision, shares, route.stableRevision) },
  );
  const before = backend.split;
  if (before && isSame({ ...split, epoch: before.epoch }, before) && isSame(tablesOf(before.epoch), backend.tables)) {
    return { split: before, servers, tables: backend.tables };
  }
  return { split, servers, tables: tablesOf(split.epoch) };
}

/** One revision and no rules: HAProxy balances on its own, which spreads requests better than chance does. */
function isPlain(shares: ReadonlyMap<number, number>, tables: BackendTables, ranges: readonly PointRange[]): boolean {
  return shares.size < 2 && tables.rules.length === 0 && tables.choices.length === ranges.length;
}

function planSplit(
  { deployment, route }: GatewayService,
  parts: {
    readonly placed: readonly (PlannedServer | undefined)[];
    readonly shares: ReadonlyMap<number, number>;
    readonly ranges: readonly PointRange[];
    readonly options: BackendOptions;
  },
): SplitEpoch {
  const { placed, shares, ranges, options } = parts;
  const cold = placed.flatMap((server, slot) =>
    server === undefined || server.draining || server.warmAfter === 0
      ? []
      : { slot, replicaId: server.replicaId, warmAfter: server.warmAfter },
  );
  const isWarming = (server: PlannedServer | undefined) =>
    shares.size > 1 &&
    server !== undefined &&
    !server.draining &&
    (server.warmUntilMs > options.nowMs || server.warmAfter > 0);
  const judged = countedShares(ranges, (slot) => (isWarming(placed[slot]) ? undefined : placed[slot]?.revision));
  return {
    epoch: options.epoch,
    deployment,
    generation: route.generation.toString(),
    windowMs: route.windowMs || 2000,
    shares: [...shares].map(([revision, basisPoints]) => ({
      revision,
      basisPoints,
      judged: judged.get(revision) ?? 0,
    })),
    slotRevisions: placed.map((server) => server?.revision ?? 0),
    warmingSlots: placed.flatMap((server, slot) => (isWarming(server) ? [slot] : [])),
    cold,
  };
}

function slotsByRevision(servers: readonly (PlannedServer | undefined)[]): Map<number, number[]> {
  const slots = new Map<number, number[]>();
  for (const [slot, server] of servers.entries()) {
    if (server === undefined || server.draining) continue;
    slots.set(server.revision, [...(slots.get(server.revision) ?? []), slot]);
  }
  return slots;
}

/** A request that got no answer goes to the stable revision; to others only while that has no other replica. */
function weightOf(revision: number, shares: ReadonlyMap<number, number>, stable: number): number {
  if (!shares.has(revision)) return 0;
  return revision === stable || !shares.has(stable) ? MOST_WEIGHT : 1;
}

function placeEndpoints(
  slots: readonly (PlannedServer | undefined)[],
  service: GatewayService,
  { epoch, isBusy, nowMs, answered }: BackendOptions,
): (PlannedServer | undefined)[] | undefined {
  const { seconds = 0, requests: warmAfter = 0 } = service.route.warmUp ?? {};
  const warmUntilMs = nowMs + seconds * 1000;
  const missing = new Map(service.endpoints.map((endpoint) => [endpoint.replicaId, endpoint]));
  const servers = slots.map((server) => {
    const endpoint = server && missing.get(server.replicaId);
    if (server === undefined || endpoint === undefined || !isSameEndpoint(server, endpoint)) {
      return released(server, epoch);
    }
    missing.delete(endpoint.replicaId);
    if (server.draining) return { ...server, warmUntilMs, warmAfter, draining: false, releasedIn: 0 };
    const isCold = server.warmAfter > answered(server.replicaId);
    return isCold || server.warmAfter === 0 ? server : { ...server, warmAfter: 0 };
  });
  for (const endpoint of missing.values()) {
    const slot = freeSlot(servers, isBusy);
    if (slot === undefined) return undefined;
    const { replicaId, revision, host, port } = endpoint;
    const use = { weight: 0, warmUntilMs, warmAfter, draining: false, releasedIn: 0 };
    servers[slot] = { replicaId, revision, host, port, ...use };
  }
  return servers;
}

function isSameEndpoint(a: GatewayService["endpoints"][number], b: GatewayService["endpoints"][number]): boolean {
  return a.revision === b.revision && a.host === b.host && a.port === b.port;
}

function freeSlot(
  servers: readonly (PlannedServer | undefined)[],
  isBusy: (slot: number) => boolean,
): number | undefined {
  const unused = servers.indexOf(undefined);
  if (unused >= 0) return unused;
  return servers
    .map((server, slot) => ({ slot, draining: server?.draining ?? false, releasedIn: server?.releasedIn ?? 0 }))
    .filter(({ slot, draining }) => draining && !isBusy(slot))
    .sort((a, b) => a.releasedIn - b.releasedIn)[0]?.slot;
}

function released(server: PlannedServer | undefined, epoch: number): PlannedServer | undefined {
  if (server === undefined || server.draining) return server;
  return { ...server, weight: 0, draining: true, releasedIn: epoch };
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
