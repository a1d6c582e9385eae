import { errorMessage, isName } from "@kedge/domain";
import type { Gateway, GatewayService } from "@kedge/gateway";
import type { Clock, Logger } from "@kedge/kernel";
import type { AppliedRoute, Assignment, ReplicaAssignment, ReplicaStatus, Route, Window } from "@kedge/proto";
import type { LocalScale } from "@kedge/rollout/local";
import type { Autonomy } from "../autonomy/autonomy.ts";
import type { FlagAccess } from "../flags/flag-access.ts";
import { DocumentStore } from "./document-store.ts";
import { KeptReplicas } from "./kept-replicas.ts";
import type { ModelCache } from "./model-cache.ts";
import { routeOfNode } from "./node-route.ts";
import { ReplicaSet } from "./replica-set.ts";
import type { ReplicaRuntimes } from "./replica-spec.ts";
import { Traffic } from "./traffic.ts";
import { UserMetrics } from "./user-metrics/user-metrics.ts";

/** What serving works with. */
export interface ServingOptions {
  readonly nodeId: string;
  /** The node's, by which routes may differ from node to node. */
  readonly labels: Readonly<Record<string, string>>;
  /** Folder for the last documents. */
  readonly documentsDir: string;
  readonly gateway: Gateway;
  readonly runtimes: ReplicaRuntimes;
  readonly models: ModelCache;
  readonly autonomy: Autonomy;
  readonly modelServerEntry: string;
  readonly flags: FlagAccess;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Watches a deployment's route, undefined when it has none; the result ends the watch. */
  readonly watchRoute: (deployment: string, onRoute: (route: Route | undefined) => void) => () => void;
  /** Something that heartbeats tell changed. */
  readonly onChange: () => void;
}

const PRUNE_AFTER_MS = 10 * 60_000;

/**
 * Makes this node serve what its assignment and the routes say. Routes go to the gateway as they come; replicas are
 * fetched, started and drained beside that. Without the controller it all goes on from the last documents.
 */
export class Serving {
  readonly #options: ServingOptions;
  readonly #replicas: ReplicaSet;
  readonly #traffic: Traffic;
  readonly #metrics: UserMetrics;
  readonly #store: DocumentStore;
  readonly #routes = new Map<string, Route>();
  readonly #watches = new Map<string, () => void>();
  readonly #kept: KeptReplicas;
  #assignment: Assignment | undefined;
  /** The assignment's replicas, and those that are kept. */
  #wanted: readonly ReplicaAssignment[] = [];
  #writes: Promise<void> = Promise.resolve();
  #cancelPrune: () => void = () => {};
  /** The gateway serves on as the last process left it until the adopted replicas have shown their state. */
  #isAdopting = false;
  #adopting: Promise<void> = Promise.resolve();

  constructor(options: ServingOptions) {
    this.#options = options;
    const { clock, gateway, logger, onChange } = options;
    this.#store = new DocumentStore(options.documentsDir);
    this.#traffic = new Traffic({ gateway, logger, services: () => this.#services(), onApplied: onChange });
    this.#replicas = new ReplicaSet({
      ...options,
      onChange: () => this.#changed(),
      applied: () => this.#traffic.apply(),
      inFlight: (replicaId) => gateway.inFlight(replicaId),
    });
    this.#kept = new KeptReplicas({ clock, onExpired: () => this.#assignment && this.#follow(this.#assignment) });
    this.#metrics = new UserMetrics({
      clock,
      targets: (deployment) => this.#replicas.metricsTargets(deployment),
      exposures: (deployment) => this.#replicas.takeExposures(deployment),
    });
  }

  get replicas(): ReplicaStatus[] {
    return this.#replicas.statuses;
  }

  get appliedRoutes(): AppliedRoute[] {
    return this.#options.gateway.appliedRoutes();
  }

  get assignmentGeneration(): bigint {
    return this.#assignment?.generation ?? 0n;
  }

  /** A window of the gateway's with what only this node's replicas tell. */
  complete(window: Window): Window {
    return this.#metrics.complete(window);
  }

  /** Serves what the disk remembers; adopts what an earlier agent process left running. */
  async recover(): Promise<void> {
    const { logger } = this.#options;
    for (const route of await this.#store.loadRoutes()) this.#takeRoute(route.deployment, route);
    const assignment = await this.#store.loadAssignment();
    if (assignment !== undefined) {
      this.#isAdopting = true;
      this.#follow(assignment);
      this.#adopting = this.#replicas.adopted().then(() => {
        this.#isAdopting = false;
        this.#changed();
      });
    }
    await this.#replicas.removeOrphans().catch((error: unknown) => {
      logger.warn({ reason: errorMessage(error) }, "orphans not looked for");
    });
  }

  /** Takes a new assignment. Only newer ones come, as the bus sorts out the order. */
  setAssignment(assignment: Assignment): void {
    this.#follow(assignment);
    this.#write(() => this.#store.saveAssignment(assignment));
  }

  /** Takes a deployment's new route, or its end. The gateway is told within the same turn. */
  setRoute(deployment: string, route: Route | undefined): void {
    this.#takeRoute(deployment, route);
    this.#changed();
    this.#options.logger.info({ deployment, generation: String(route?.generation ?? 0) }, "route changed");
    this.#write(() => (route === undefined ? this.#store.removeRoute(deployment) : this.#store.saveRoute(route)));
  }

  /** Lets go of everything; replicas and gateway go on serving. */
  async stop(): Promise<void> {
    for (const unwatch of this.#watches.values()) unwatch();
    this.#watches.clear();
    this.#cancelPrune();
    this.#kept.stop();
    await this.#metrics.stop();
    await this.#replicas.stop();
    await this.#adopting;
    await this.#writes;
  }

  #follow(assignment: Assignment): void {
    const { autonomy } = this.#options;
    this.#wanted = this.#kept.follow(this.#assignment, assignment, autonomy.decisions);
    this.#assignment = assignment;
    autonomy.assigned(assignment);
    const deployments = new Set(assignment.replicas.map(({ deployment }) => deployment));
    for (const deployment of deployments) this.#watch(deployment);
    for (const [deployment, unwatch] of this.#watches) {
      if (deployments.has(deployment)) continue;
      unwatch();
      this.#watches.delete(deployment);
      this.#takeRoute(deployment, undefined);
      this.#write(() => this.#store.removeRoute(deployment));
    }
    this.#replicas.reconcile(this.#wanted);
    this.#changed();
    this.#pruneLater();
  }

  #takeRoute(deployment: string, route: Route | undefined): void {
    if (route === undefined) this.#routes.delete(deployment);
    else this.#routes.set(deployment, route);
    const { autonomy, labels } = this.#options;
    autonomy.follow(deployment, route && routeOfNode(route, labels).route);
    this.#metrics.follow(deployment, route);
  }

  #watch(deployment: string): void {
    if (this.#watches.has(deployment) || !isName("deployment", deployment)) return;
    const unwatch = this.#options.watchRoute(deployment, (route) => {
      if (route === undefined || route.deployment === deployment) this.setRoute(deployment, route);
    });
    this.#watches.set(deployment, unwatch);
  }

  #services(): GatewayService[] {
    const { autonomy, labels, logger } = this.#options;
    return [...this.#routes.values()].map((wanted) => {
      const { route, refused } = routeOfNode(wanted, labels);
      const { deployment } = route;
      if (refused !== undefined) logger.error({ deployment, reason: refused }, "route is served without its rules");
      const endpoints = this.#replicas.endpoints(deployment);
      return { deployment, route: autonomy.held(route, this.#scaleOf(deployment, endpoints)), endpoints };
    });
  }

  #scaleOf(deployment: string, endpoints: readonly { readonly revision: number }[]): LocalScale {
    const assigned = this.#wanted.filter((replica) => replica.deployment === deployment);
    const countIn = (all: readonly { readonly revision: number }[]) => (revision: number) =>
      all.filter((each) => each.revision === revision).length;
    return { assigned: countIn(assigned), ready: countIn(endpoints) };
  }

  /** Has the gateway follow what this node has decided. */
  changed(): void {
    this.#changed();
  }

  #changed(): void {
    if (!this.#isAdopting) void this.#traffic.apply();
    this.#options.onChange();
  }

  /** Models that nothing uses stay for a while, as a rollback may want them again. */
  #pruneLater(): void {
    const { clock, models, logger } = this.#options;
    this.#cancelPrune();
    this.#cancelPrune = clock.after(PRUNE_AFTER_MS, () => {
      const wanted = new Set(this.#assignment?.replicas.map(({ manifestDigest }) => manifestDigest));
      models.prune(wanted).catch((error: unknown) => logger.warn({ err: error }, "model cache not pruned"));
    });
  }

  /** Documents are written in the order they came, beside the work. */
  #write(write: () => Promise<void>): void {
    const { logger } = this.#options;
    this.#writes = this.#writes
      .then(write)
      .catch((error: unknown) => logger.error({ err: error }, "document not written to disk"));
  }
}
