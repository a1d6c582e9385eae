import { chmodSync, mkdirSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { errorMessage, KedgeError } from "@kedge/domain";
import { type Component, freePort } from "@kedge/kernel";
import { type AppliedRoute, AppliedRouteSchema } from "@kedge/proto";
import type { TableEntry } from "./backend-tables.ts";
import {
  type GatewayOptions,
  type GatewayService,
  type ResolvedGatewayOptions,
  resolveGatewayOptions,
} from "./gateway-options.ts";
import {
  emptyPlan,
  type GatewayPlan,
  grownPlan,
  type IsBusy,
  nextWarmMs,
  type PlanOptions,
  planServices,
} from "./gateway-plan.ts";
import { checkedServices } from "./gateway-service.ts";
import type { GatewayStats } from "./gateway-stats.ts";
import {
  type GatewayPaths,
  gatewayPaths,
  type Layout,
  layoutDigest,
  renderConfig,
  renderRoutes,
  renderTable,
  tableFile,
} from "./haproxy-config.ts";
import { HaproxyProcess } from "./haproxy-process.ts";
import { LogListener } from "./log-listener.ts";
import { mirrorScript } from "./mirror-script.ts";
import { type ActualState, planCommands, plannedTables, slotName, staleTables } from "./plan-commands.ts";
import { RequestLedger } from "./request-ledger.ts";
import { RuntimeSocket } from "./runtime-socket.ts";
import { SilentAudit } from "./silent-audit.ts";
import { type LogSink, loadState, replaceFile, saveState } from "./state-file.ts";

const WATCH_MS = 200;
const LONGEST_BACKOFF_MS = 5_000;
/** HAProxy that has run for so long after a restart counts as well. */
const STABLE_MS = 10_000;

/**
 * The HAProxy of a serving node: splits traffic between the ready replicas of each deployment, and tells what it saw in
 * windows. HAProxy runs on its own; it serves on when this process dies, and is taken over by the next.
 */
export class Gateway implements Component {
  readonly name = "gateway";
  readonly #options: ResolvedGatewayOptions;
  readonly #paths: GatewayPaths;
  readonly #socket: RuntimeSocket;
  readonly #haproxy: HaproxyProcess;
  readonly #ledger: RequestLedger;
  readonly #listener: LogListener;
  readonly #stopped = new AbortController();
  #watching: Promise<unknown> = Promise.resolve();
  #queue: Promise<void> = Promise.resolve();
  #plan: GatewayPlan;
  #actual: Omit<ActualState, "tables"> | undefined;
  /** What HAProxy's tables are known to hold; there are many, and few change. */
  readonly #tables = new Map<string, readonly TableEntry[]>();
  #services: readonly GatewayService[] | undefined;
  #cancelWarm: () => void = () => {};
  #port = 0;
  #logSink: LogSink = { port: 0, secret: "" };
  #starts = 0;
  #reloads = 0;

  /** @throws KedgeError INVALID_OPTION */
  constructor(options: GatewayOptions) {
    this.#options = resolveGatewayOptions(options);
    const { logger, clock, haproxyPath, dir } = this.#options;
    this.#paths = gatewayPaths(dir);
    this.#socket = new RuntimeSocket(this.#paths.adminSocket);
    this.#haproxy = new HaproxyProcess({ haproxyPath, paths: this.#paths, socket: this.#socket, clock, logger });
    this.#ledger = new RequestLedger({ ...this.#options, onWarm: () => this.#applyAgain() });
    this.#listener = new LogListener({
      clock,
      logger,
      onLine: (line) => this.#ledger.record(line),
    });
    this.#plan = emptyPlan(this.#options.capacity);
  }

  /** host:port where users connect; known after start. */
  get address(): string {
    const { host } = this.#options.listen;
    return `${host.includes(":") ? `[${host}]` : host}:${this.#port}`;
  }

  /**
   * Takes over a HAProxy that a process before this one left, serving what it serves, or starts one. Once.
   *
   * @throws KedgeError GATEWAY_UNAVAILABLE when HAProxy does not start.
   */
  async start(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#options.dir, { recursive: true, mode: 0o700 });
    chmodSync(this.#options.dir, 0o700);
    const state = loadState(this.#paths.state, this.#options.logger);
    if (state) this.#plan = grownPlan(state.plan, this.#options.capacity);
    this.#port = this.#options.listen.port || state?.port || (await freePort(this.#options.listen.host));
    this.#ledger.remember(state?.splits ?? []);
    this.#ledger.use(this.#plan);
    this.#logSink = await this.#listener.start(state?.logSink);
    signal.throwIfAborted();
    const digest = await this.#haproxy.adopt();
    if (digest !== layoutDigest(this.#options, this.#layout)) await this.#launch();
    await this.#converge();
    const audit = new SilentAudit({
      ...{ clock: this.#options.clock, logger: this.#options.logger, ledger: this.#ledger },
      socket: this.#socket,
      mirrorSocket: this.#paths.mirrorSocket,
      isServing: () => this.#plan.backends.some(({ split }) => split !== undefined),
    });
    this.#watching = Promise.all([this.#watch(), audit.run(this.#stopped.signal)]);
  }

  /**
   * Stops. HAProxy is ended within five seconds, or left serving when `keepServing`, for the next process to take over.
   * May be called twice.
   */
  async stop(options: { readonly keepServing?: boolean } = {}): Promise<void> {
    this.#stopped.abort();
    this.#cancelWarm();
    await this.#watching;
    await this.#queue;
    if (!options.keepServing) await this.#haproxy.stop();
    await this.#listener.stop();
    this.#ledger.stop();
  }

  /**
   * Makes HAProxy serve exactly these deployments; resolves when it does. No request is lost by it. Calls run one after
   * another; applying the same again does nothing.
   *
   * @throws KedgeError INVALID_FIELD for a service that cannot be served; GATEWAY_UNAVAILABLE when HAProxy is gone: it
   * is brought back with these services nonetheless.
   */
  apply(services: readonly GatewayService[]): Promise<void> {
    const checked = checkedServices(services);
    return this.#serialised(() => this.#apply(checked));
  }

  /** The routes in force, with the shares that readiness leaves them. */
  appliedRoutes(): AppliedRoute[] {
    return this.#plan.backends.flatMap(({ split }) =>
      split === undefined
        ? []
        : create(AppliedRouteSchema, {
            deployment: split.deployment,
            generation: BigInt(split.generation),
            basisPoints: Object.fromEntries(split.shares.map((share) => [share.revision, share.basisPoints])),
          }),
    );
  }

  /**
   * Requests that a replica is working on. Right after a reload it is at least 1 until the HAProxy before it is done.
   *
   * @throws KedgeError GATEWAY_UNAVAILABLE
   */
  async inFlight(replicaId: string): Promise<number> {
    const sessions = await this.#socket.sessions();
    let requests = this.#haproxy.isLeaving ? 1 : 0;
    for (const [index, backend] of this.#plan.backends.entries()) {
      for (const [slot, server] of backend.servers.entries()) {
        if (server?.replicaId === replicaId) requests += sessions.get(slotName(index, slot)) ?? 0;
      }
    }
    return requests;
  }

  /** Totals since the start of this process. */
  stats(): GatewayStats {
    return {
      deployments: this.#ledger.stats(),
      unattributed: this.#ledger.unattributed,
      lost: this.#ledger.lost,
      audits: this.#ledger.audits,
      starts: this.#starts,
      reloads: this.#reloads,
    };
  }

  async #apply(services: readonly GatewayService[]): Promise<void> {
    this.#services = services;
    const { plan, hasGrown } = await this.#nextPlan(services);
    this.#plan = plan;
    this.#ledger.remember(plan.backends.flatMap(({ split }) => split ?? []));
    this.#save();
    this.#ledger.use(plan);
    this.#planWarm();
    if (!this.#haproxy.isAlive || hasGrown) await this.#launch();
    await this.#converge();
  }

  /** Judges an endpoint's requests from when it has warmed up. */
  #planWarm(): void {
    const { clock } = this.#options;
    this.#cancelWarm();
    const warmMs = nextWarmMs(this.#plan, clock.now());
    if (warmMs === undefined || this.#stopped.signal.aborted) return;
    this.#cancelWarm = clock.after(warmMs - clock.now() + 1, () => this.#applyAgain());
  }

  #applyAgain(): void {
    // Before the first call nobody knows what is served; that one plans anew.
    const services = this.#services;
    if (services === undefined || this.#stopped.signal.aborted) return;
    const applied = this.#serialised(() => this.#apply(this.#services ?? services));
    applied.catch((error: unknown) =>
      this.#options.logger.warn({ reason: errorMessage(error) }, "warm replicas are not judged yet"),
    );
  }

  async #nextPlan(services: readonly GatewayService[]): Promise<{ plan: GatewayPlan; hasGrown: boolean }> {
    const answered = (deployment: string, replicaId: string) => this.#ledger.answered(deployment, replicaId);
    const options = { nowMs: this.#options.clock.now(), answered };
    // Slots that may be busy are looked at only when there is no other.
    const first = planServices(this.#plan, services, { ...options, isBusy: () => true });
    if (first.kind === "planned") return { plan: first.plan, hasGrown: false };
    const isBusy = await this.#busySlots();
    const second = planServices(this.#plan, services, { ...options, isBusy });
    if (second.kind === "planned") return { plan: second.plan, hasGrown: false };
    return { plan: grownUntilFits(this.#plan, services, { ...options, isBusy }), hasGrown: true };
  }

  async #busySlots(): Promise<IsBusy> {
    if (!this.#haproxy.isAlive) return () => false;
    const sessions = await this.#socket.sessions();
    return (backend, slot) => (sessions.get(slotName(backend, slot)) ?? 0) > 0;
  }

  /** Starts HAProxy with the plan in its configuration, taking over from a running one. */
  async #launch(): Promise<void> {
    const isReload = this.#haproxy.isAlive;
    this.#actual = undefined;
    this.#ledger.countsAnew();
    this.#tables.clear();
    this.#save();
    replaceFile(this.#paths.config, renderConfig(this.#options, this.#layout));
    replaceFile(this.#paths.mirrorScript, mirrorScript(this.#paths.mirrorSocket));
    replaceFile(this.#paths.routes, renderRoutes(this.#plan));
    mkdirSync(this.#paths.tables, { recursive: true });
    for (const [name, entries] of plannedTables(this.#plan)) replaceFile(this.#tableFile(name), renderTable(entries));
    await this.#haproxy.launch();
    if (isReload) this.#reloads++;
    else this.#starts++;
  }

  /** Sends what differs as one batch, then reads back what HAProxy made of it. */
  async #converge(): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const { commands, stale } = await this.#differing();
      if (commands.length === 0) return;
      this.#actual = undefined;
      for (const name of stale) this.#tables.delete(name);
      await this.#socket.run(commands);
    }
    const { commands } = await this.#differing();
    if (commands.length === 0) return;
    throw new KedgeError("GATEWAY_UNAVAILABLE", "HAProxy did not take over the routes", { hint: commands[0] ?? "" });
  }

  /** Commands that are still to be given, and the tables that they replace. */
  async #differing(): Promise<{ readonly commands: string[]; readonly stale: string[] }> {
    const { routes } = this.#paths;
    const unknown = [...plannedTables(this.#plan).keys()].filter((name) => !this.#tables.has(name));
    if (this.#actual === undefined || unknown.length > 0) {
      const files = unknown.map((name) => this.#tableFile(name));
      const { tables, ...actual } = await this.#socket.read(routes, files);
      for (const [i, name] of unknown.entries()) this.#tables.set(name, tables[i] ?? []);
      this.#actual = actual;
    }
    const actual = { ...this.#actual, tables: this.#tables };
    const stale = staleTables(actual, this.#plan);
    const prepared = await this.#socket.prepare(stale.map((name) => this.#tableFile(name)));
    const versions = new Map(stale.map((name) => [name, prepared.get(this.#tableFile(name)) ?? 0]));
    const tableFile = (name: string): string => this.#tableFile(name);
    return { commands: planCommands(actual, this.#plan, { routes, tableFile, versions }), stale };
  }

  #tableFile(name: string): string {
    return tableFile(this.#options.dir, name);
  }

  get #layout(): Layout {
    return { port: this.#port, logSink: this.#logSink, plan: this.#plan };
  }

  #save(): void {
    saveState(this.#paths.state, { version: 3, ...this.#layout, splits: this.#ledger.remembered() });
  }

  #serialised(work: () => Promise<void>): Promise<void> {
    const result = this.#queue.then(work);
    // The next one runs whatever became of this one; the caller gets the error.
    this.#queue = result.catch(() => {});
    return result;
  }

  async #watch(): Promise<void> {
    const { clock, logger } = this.#options;
    let waitMs = WATCH_MS;
    let revivedAt = Number.NEGATIVE_INFINITY;
    while (!this.#stopped.signal.aborted) {
      try {
        await clock.sleep(waitMs, this.#stopped.signal);
        if (this.#haproxy.isAlive) {
          // One that starts and dies again is not started five times a second.
          if (clock.monotonic() - revivedAt >= STABLE_MS) waitMs = WATCH_MS;
          continue;
        }
        await this.#serialised(() => this.#revive());
        revivedAt = clock.monotonic();
        waitMs = Math.min(LONGEST_BACKOFF_MS, waitMs * 2);
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        logger.error({ err: error, reason: errorMessage(error) }, "HAProxy is down");
        waitMs = Math.min(LONGEST_BACKOFF_MS, waitMs * 2);
      }
    }
  }

  async #revive(): Promise<void> {
    if (this.#haproxy.isAlive || this.#stopped.signal.aborted) return;
    this.#options.logger.warn({}, "HAProxy died; starting it again");
    await this.#launch();
    await this.#converge();
  }
}

function grownUntilFits(plan: GatewayPlan, services: readonly GatewayService[], options: PlanOptions): GatewayPlan {
  let capacity = { backends: plan.backends.length, serversPerBackend: plan.backends[0]?.servers.length ?? 1 };
  for (;;) {
    const result = planServices(grownPlan(plan, capacity), services, options);
    if (result.kind === "planned") return result.plan;
    if (result.of === "backends") capacity = { ...capacity, backends: capacity.backends * 2 };
    else capacity = { ...capacity, serversPerBackend: capacity.serversPerBackend * 2 };
  }
}
