import type { GatewayEndpoint } from "@kedge/gateway";
import type { Clock, Logger } from "@kedge/kernel";
import { type ReplicaAssignment, type ReplicaExposure, ReplicaState, type ReplicaStatus } from "@kedge/proto";
import type { FlagAccess } from "../flags/flag-access.ts";
import type { ModelCache } from "./model-cache.ts";
import { Replica } from "./replica.ts";
import { sumExposures } from "./replica-exposure.ts";
import { metricsPath, type ReplicaRuntimes } from "./replica-spec.ts";
import type { MetricsTarget } from "./user-metrics/user-metrics.ts";

/** What a ReplicaSet works with. */
export interface ReplicaSetOptions {
  readonly nodeId: string;
  readonly runtimes: ReplicaRuntimes;
  readonly models: ModelCache;
  readonly modelServerEntry: string;
  readonly flags: FlagAccess;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Readiness or state of a replica changed. */
  readonly onChange: () => void;
  /** Makes the gateway match the endpoints; resolves when it does. */
  readonly applied: () => Promise<void>;
  /** Requests that a replica is answering. */
  readonly inFlight: (replicaId: string) => Promise<number>;
}

const DRAIN_MS = 10_000;
const DRAIN_POLL_MS = 50;
const ADOPT_MS = 5000;
const ADOPT_POLL_MS = 10;

/** The replicas of this node. Makes them be those of an assignment, each at its own pace. */
export class ReplicaSet {
  readonly #options: ReplicaSetOptions;
  readonly #replicas = new Map<string, Replica>();
  readonly #leaving = new Map<string, Promise<void>>();
  #wanted: readonly ReplicaAssignment[] = [];
  #stopped = false;

  constructor(options: ReplicaSetOptions) {
    this.#options = options;
  }

  get statuses(): ReplicaStatus[] {
    return [...this.#replicas.values()].map((replica) => replica.status);
  }

  /** Where a deployment's requests can go now. */
  endpoints(deployment: string): GatewayEndpoint[] {
    return [...this.#replicas.values()].flatMap(({ assignment, readyPort }) => {
      if (assignment.deployment !== deployment || readyPort === undefined) return [];
      const { replicaId, revision } = assignment;
      return [{ replicaId, revision, host: "127.0.0.1", port: readyPort }];
    });
  }

  /** Where a deployment's ready replicas tell metrics. */
  metricsTargets(deployment: string): MetricsTarget[] {
    return [...this.#replicas.values()].flatMap(({ assignment, readyPort, run }) => {
      if (assignment.deployment !== deployment || readyPort === undefined) return [];
      const { replicaId, revision } = assignment;
      return [{ replicaId, revision, run, port: readyPort, path: metricsPath(assignment) }];
    });
  }

  /** What a deployment's replicas were exposed to since the last call, by revision. */
  takeExposures(deployment: string): ReadonlyMap<number, ReplicaExposure> {
    const own = [...this.#replicas.values()].filter(({ assignment }) => assignment.deployment === deployment);
    return sumExposures(
      own.map((replica) => ({ revision: replica.assignment.revision, exposure: replica.takeExposure() })),
    );
  }

  /** Starts what is missing and lets go of what is no longer wanted. May be called again at any time. */
  reconcile(wanted: readonly ReplicaAssignment[]): void {
    if (this.#stopped) return;
    this.#wanted = wanted;
    const ids = new Set(wanted.map(({ replicaId }) => replicaId));
    for (const [id, replica] of this.#replicas) if (!ids.has(id)) this.#release(id, replica);
    for (const assignment of wanted) {
      // One that is still leaving is started again once it is gone.
      if (!this.#replicas.has(assignment.replicaId)) this.#start(assignment);
    }
  }

  /** Removes replicas that an earlier agent process started and nobody wants. Call after the first reconcile. */
  async removeOrphans(): Promise<void> {
    const { nodeId, runtimes, logger } = this.#options;
    const live = new Set(this.#replicas.keys());
    for (const runtime of [runtimes.process, runtimes.docker]) {
      const found = (await runtime?.list({ "kedge.node": nodeId })) ?? [];
      for (const { id, labels } of found) {
        const replicaId = labels["kedge.replica"];
        if (replicaId === undefined || live.has(replicaId)) continue;
        logger.warn({ replicaId }, "removing a replica of no deployment");
        await runtime?.remove(id);
      }
    }
  }

  /**
   * Resolves when every replica that an earlier agent process left running has shown whether it is ready, or after 5 s.
   * Until then it is unknown which endpoints are good.
   */
  async adopted(): Promise<void> {
    const { nodeId, runtimes, clock } = this.#options;
    const running = new Set<string>();
    for (const runtime of [runtimes.process, runtimes.docker]) {
      const found = await runtime?.list({ "kedge.node": nodeId }).catch(() => []); // No engine: nothing in it answers.
      for (const { state, labels } of found ?? []) {
        if (state === "running") running.add(labels["kedge.replica"] ?? "");
      }
    }
    const deadline = clock.monotonic() + ADOPT_MS;
    const isOpen = (): boolean => [...this.#replicas].some(([id, each]) => running.has(id) && !each.isSettled);
    while (!this.#stopped && isOpen() && clock.monotonic() < deadline) await clock.sleep(ADOPT_POLL_MS);
  }

  /** Lets go of all replicas; they go on serving. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#replicas.values()].map((replica) => replica.detach()));
  }

  #start(assignment: ReplicaAssignment): void {
    const { nodeId, runtimes, models, modelServerEntry, flags, clock, onChange } = this.#options;
    const logger = this.#options.logger.child({ deployment: assignment.deployment });
    const replica = new Replica({
      ...{ nodeId, assignment, runtimes, models, modelServerEntry, flags, clock, logger, onChange },
    });
    this.#replicas.set(assignment.replicaId, replica);
    replica.start();
    onChange();
  }

  #release(id: string, replica: Replica): void {
    if (this.#leaving.has(id)) return;
    const { logger, onChange } = this.#options;
    replica.retire();
    const leaving = this.#drain(id, replica)
      .catch((error: unknown) => logger.error({ err: error, replicaId: id }, "replica not removed"))
      .then(() => {
        this.#leaving.delete(id);
        this.#replicas.delete(id);
        onChange();
        this.reconcile(this.#wanted);
      });
    this.#leaving.set(id, leaving);
  }

  async #drain(id: string, replica: Replica): Promise<void> {
    const { applied, inFlight, clock } = this.#options;
    await applied();
    const deadline = clock.monotonic() + DRAIN_MS;
    while (!this.#stopped && clock.monotonic() < deadline && (await inFlight(id)) > 0) await clock.sleep(DRAIN_POLL_MS);
    // On stop it is left as it is; the next process finds it unwanted.
    if (!this.#stopped) await replica.remove();
  }
}

/** How many replicas are in each state. */
export function countStates(statuses: readonly ReplicaStatus[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { state } of statuses) {
    const name = (ReplicaState[state] ?? "UNSPECIFIED").toLowerCase();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
