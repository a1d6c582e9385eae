import { effectiveSplit } from "./effective-split.ts";
import type { GatewayCapacity, GatewayService } from "./gateway-options.ts";
import { serverWeights } from "./server-weights.ts";

/** What one of HAProxy's server slots holds. */
export interface PlannedServer {
  readonly replicaId: string;
  readonly revision: number;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
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
  /** As the weights make it. */
  readonly realised: number;
}

/**
 * One split of one deployment. Its number goes into HAProxy's route map and from there into every log line, so that a
 * request is always counted under the split it was routed by.
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
}

/** One of HAProxy's backends; without a split it is free. */
export interface PlannedBackend {
  readonly split: SplitEpoch | undefined;
  readonly servers: readonly (PlannedServer | undefined)[];
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
    return { split: backend?.split, servers: Array.from({ length: slots }, (_, j) => backend?.servers[j]) };
  });
  return { ...plan, backends };
}

/**
 * The plan that serves these deployments, changing as little as possible: endpoints keep their slots, and a deployment
 * whose split, slots and route did not change keeps its epoch. Pure.
 */
export function planServices(previous: GatewayPlan, services: readonly GatewayService[], isBusy: IsBusy): PlanResult {
  const wanted = new Map(services.map((service) => [service.deployment, service]));
  const backends = previous.backends.map((backend) =>
    backend.split && !wanted.has(backend.split.deployment)
      ? { split: undefined, servers: backend.servers.map((server) => released(server, previous.nextEpoch)) }
      : backend,
  );
  let nextEpoch = previous.nextEpoch;
  for (const service of wanted.values()) {
    const index = backendFor(backends, service.deployment, isBusy);
    const backend = backends[index];
    if (backend === undefined) return { kind: "full", of: "backends" };
    const planned = planBackend(backend, service, nextEpoch, (slot) => isBusy(index, slot));
    if (planned === undefined) return { kind: "full", of: "servers" };
    backends[index] = planned;
    nextEpoch = Math.max(nextEpoch, (planned.split?.epoch ?? 0) + 1);
  }
  return { kind: "planned", plan: { nextEpoch, backends } };
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
  epoch: number,
  isBusy: (slot: number) => boolean,
): PlannedBackend | undefined {
  const placed = placeEndpoints(backend.servers, service, epoch, isBusy);
  if (placed === undefined) return undefined;
  const counts = new Map<number, number>();
  for (const { revision } of service.endpoints) counts.set(revision, (counts.get(revision) ?? 0) + 1);
  const shares = effectiveSplit(service.route, counts);
  const weights = serverWeights(shares, counts);
  const used = new Map<number, number>();
  const servers = placed.map((server) => {
    if (server === undefined || server.draining) return server;
    const nth = used.get(server.revision) ?? 0;
    used.set(server.revision, nth + 1);
    return { ...server, weight: weights.get(server.revision)?.weights[nth] ?? 0 };
  });
  const split: SplitEpoch = {
    epoch,
    deployment: service.deployment,
    generation: service.route.generation.toString(),
    windowMs: service.route.windowMs || 2000,
    shares: [...shares].map(([revision, basisPoints]) => ({
      revision,
      basisPoints,
      realised: weights.get(revision)?.realised ?? 0,
    })),
    slotRevisions: servers.map((server) => server?.revision ?? 0),
  };
  return { split: sameSplit(backend.split, split) ? backend.split : split, servers };
}

function placeEndpoints(
  slots: readonly (PlannedServer | undefined)[],
  service: GatewayService,
  epoch: number,
  isBusy: (slot: number) => boolean,
): (PlannedServer | undefined)[] | undefined {
  const missing = new Map(service.endpoints.map((endpoint) => [endpoint.replicaId, endpoint]));
  const servers = slots.map((server) => {
    const endpoint = server && missing.get(server.replicaId);
    if (server === undefined || endpoint === undefined || !isSameEndpoint(server, endpoint)) {
      return released(server, epoch);
    }
    missing.delete(endpoint.replicaId);
    return { ...server, draining: false, releasedIn: 0 };
  });
  for (const endpoint of missing.values()) {
    const slot = freeSlot(servers, isBusy);
    if (slot === undefined) return undefined;
    const { replicaId, revision, host, port } = endpoint;
    servers[slot] = { replicaId, revision, host, port, weight: 0, draining: false, releasedIn: 0 };
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

function sameSplit(a: SplitEpoch | undefined, b: SplitEpoch): boolean {
  return a !== undefined && JSON.stringify({ ...a, epoch: 0 }) === JSON.stringify({ ...b, epoch: 0 });
}
