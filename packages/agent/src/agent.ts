import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describeSealKey } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import { Gateway } from "@kedge/gateway";
import { newId } from "@kedge/kernel";
import type { Capacity, SealKey, Window } from "@kedge/proto";
import { listImages } from "@kedge/runtime";
import { Autonomy } from "./autonomy/autonomy.ts";
import { type AgentOptions, type ResolvedAgentOptions, resolveAgentOptions } from "./config.ts";
import { ControllerLink } from "./controller-link.ts";
import { endWork } from "./end-work.ts";
import { ControllerFileStore } from "./files/controller-file-store.ts";
import { NodeFlags } from "./flags/node-flags.ts";
import { composeHeartbeat } from "./heartbeat-message.ts";
import { loadIdentity, loadSeed, type NodeIdentity } from "./identity/node-identity.ts";
import { AgentCounters, createMetrics, type MetricSources } from "./metrics.ts";
import { type Health, type MetricsServer, startMetricsServer } from "./metrics-server.ts";
import { bootTimeMs } from "./node/boot-clock.ts";
import { measureCapacity } from "./node/capacity.ts";
import { DiskSpace } from "./node/disk-space.ts";
import { HeartbeatLoop } from "./node/heartbeat.ts";
import { ImageInventory } from "./node/image-inventory.ts";
import { Lease } from "./node/lease.ts";
import { LeaseFile } from "./node/lease-file.ts";
import { type NodeRuntimes, openRuntimes } from "./node/runtimes.ts";
import { Watchdog } from "./node/watchdog.ts";
import { ensureSealKey } from "./secrets/seal-key.ts";
import { ModelCache } from "./serving/model-cache.ts";
import { Serving } from "./serving/serving.ts";
import { WindowRelay } from "./serving/window-relay.ts";
import { lockDataDir } from "./state/data-lock.ts";
import { TaskExecutor } from "./tasks/task-executor.ts";

/** An agent that runs. */
export interface RunningAgent {
  readonly nodeId: string;
  /** `host:port` of the node's gateway; empty on a node without HAProxy. */
  readonly gatewayAddress: string;
  /** `host:port` of the metrics server; undefined when it was not asked for. */
  readonly metricsAddress: string | undefined;
  /** Base URL of OpenFeature's protocol, for processes of this machine. */
  readonly flagsUrl: string;
  /**
   * Ends the agent, not its work: tasks, replicas and the gateway run on and are adopted by the next agent on the same
   * data folder. Tasks need that within 30 s, or the watchdog ends them. May be called twice; the first call's options
   * count.
   *
   * @param options endWork: end all of that too. Tasks are not reported then; the controller gives them away.
   */
  stop(options?: { readonly endWork?: boolean }): Promise<void>;
}

/**
 * Starts the agent of a node that has joined. Resolves when what the last agent left was taken up and the node serves;
 * the connection to the controller is made in the background and may come later.
 *
 * @throws KedgeError INVALID_OPTION, also for a node that has not joined; CONFLICT when an agent runs on the folder.
 */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const resolved = resolveAgentOptions(options);
  const { dataDir } = resolved;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const identity = await loadIdentity(dataDir);
  if (identity === undefined) {
    throw new KedgeError("INVALID_OPTION", `${dataDir} holds no node`, { field: "dataDir", hint: "join it first" });
  }
  const unlock = await lockDataDir(dataDir);
  const capacity = await measureCapacity(dataDir, resolved.capacity);
  const runtimes = await openRuntimes(resolved, identity.nodeId, capacity.gpus);
  const seed = await loadSeed(dataDir);
  const sealKey = await ensureSealKey(dataDir);
  const lastRenewedAtMs = await new LeaseFile(dataDir).load();
  const agent = new Agent({ options: resolved, identity, seed, sealKey, runtimes, capacity, lastRenewedAtMs, unlock });
  try {
    await agent.start();
  } catch (error) {
    await agent.stop();
    throw error;
  }
  return agent;
}

interface AgentParts {
  readonly options: ResolvedAgentOptions;
  readonly identity: NodeIdentity;
  readonly seed: Uint8Array;
  readonly sealKey: Uint8Array;
  readonly runtimes: NodeRuntimes;
  readonly capacity: Capacity;
  readonly lastRenewedAtMs: number | undefined;
  readonly unlock: () => Promise<void>;
}

class Agent implements RunningAgent {
  readonly #parts: AgentParts;
  readonly #bootId: string;
  readonly #sealKey: SealKey;
  readonly #abort = new AbortController();
  readonly #counters = new AgentCounters();
  readonly #link: ControllerLink;
  readonly #lease: Lease;
  readonly #watchdog: Watchdog;
  readonly #tasks: TaskExecutor;
  readonly #heartbeats: HeartbeatLoop;
  readonly #windows: WindowRelay;
  readonly #autonomy: Autonomy;
  readonly #models: ModelCache;
  readonly #images: ImageInventory;
  readonly #disk: DiskSpace;
  readonly #gateway: Gateway | undefined;
  readonly #serving: Serving | undefined;
  readonly #flags: NodeFlags;
  #sequence = 0n;
  #cachedModels: readonly string[] = [];
  #gatewayStarted = false;
  #metrics: MetricsServer | undefined;
  #offers: Promise<void> = Promise.resolve();
  #unwatch: () => void = () => {};
  #unwatchFlags: () => void = () => {};
  #stopping: Promise<void> | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    const { options, identity, seed, sealKey, runtimes, lastRenewedAtMs } = parts;
    const { clock, dataDir, haproxyPath, modelServerEntry, keepWorkspaces, logLimitBytes, leaseMs } = options;
    const { nodeId, caPem } = identity;
    const logger = options.logger.child({ nodeId });
    const bootId = newId(clock);
    const onChange = (): void => this.#heartbeats.changed();
    this.#bootId = bootId;
    this.#sealKey = describeSealKey(nodeId, seed, sealKey);
    const link = new ControllerLink({ identity, seed, bootId, clock, logger });
    this.#link = link;
    this.#heartbeats = new HeartbeatLoop({ clock, logger, send: () => this.#beat() });
    this.#windows = new WindowRelay({
      publish: (window) => link.window(window),
      isConnected: () => link.isConnected,
    });
    this.#autonomy = new Autonomy({
      ...{ nodeId, clock, logger, cutOffMs: options.cutOffMs },
      dir: join(dataDir, "decisions"),
      publish: (decision) => link.publishDecision(decision),
      onChange: () => this.#serving?.changed(),
    });
    this.#watchdog = new Watchdog({ dataDir, leaseMs, clock, logger });
    const leaseFile = new LeaseFile(dataDir);
    this.#lease = new Lease({
      ...{ clock, logger, lastRenewedAtMs, leaseMs },
      intervalMs: leaseMs / 3,
      elapsedMs: bootTimeMs,
      renew: () => link.renewLease(this.#tasks.running),
      onRenewed: (sentAtMs) => leaseFile.save(sentAtMs, logger),
      onExpired: () => this.#tasks.loseAll(),
    });
    const bridgeAddress = async () => runtimes.networks?.hostAddress("bridge");
    this.#flags = new NodeFlags({ nodeId, dataDir, logger, bridgeAddress });
    this.#tasks = new TaskExecutor({
      ...{ nodeId, bootId, runtimes, caPem, sealKey, clock, logger, keepWorkspaces, logLimitBytes, onChange },
      tasksDir: join(dataDir, "tasks"),
      bus: link,
      newFileStore: (offer) =>
        new ControllerFileStore({ offer, caPem, clock, readChunk: (sha256) => link.getChunk(sha256) }),
      flags: this.#flags,
      lease: this.#lease,
      onEnd: (outcome) => {
        this.#counters.taskEnded(outcome);
        this.#images.touch();
      },
    });
    const list = () => (runtimes.docker === undefined ? Promise.resolve([]) : listImages(options.dockerSocket));
    this.#disk = new DiskSpace(dataDir, clock);
    this.#images = new ImageInventory({ list, clock, logger, onChange });
    this.#models = new ModelCache({
      dir: join(dataDir, "cache"),
      getChunk: (sha256) => link.getChunk(sha256),
      openManifest: (bytes) => link.openManifest(bytes),
    });
    if (!existsSync(haproxyPath)) {
      logger.warn({ haproxyPath }, "HAProxy is missing, this node serves nothing");
      return;
    }
    this.#gateway = new Gateway({
      ...{ nodeId, bootId, clock, logger, haproxyPath },
      dir: join(dataDir, "gateway"),
      listen: options.gatewayListen,
      onWindow: (window) => this.#window(this.#serving?.complete(window) ?? window),
    });
    this.#serving = new Serving({
      ...{ nodeId, runtimes, modelServerEntry, clock, logger },
      flags: this.#flags,
      labels: identity.labels,
      gateway: this.#gateway,
      models: this.#models,
      autonomy: this.#autonomy,
      documentsDir: join(dataDir, "documents"),
      watchRoute: (deployment, onRoute) => link.watchRoute(deployment, onRoute),
      onChange: () => this.#servingChanged(),
    });
  }

  get nodeId(): string {
    return this.#parts.identity.nodeId;
  }

  get gatewayAddress(): string {
    return this.#gatewayStarted ? (this.#gateway?.address ?? "") : "";
  }

  get flagsUrl(): string {
    return this.#flags.url;
  }

  get metricsAddress(): string | undefined {
    return this.#metrics?.address;
  }

  async start(): Promise<void> {
    const { options } = this.#parts;
    await this.#watchdog.start();
    this.#autonomy.load();
    await this.#flags.start();
    if (this.#gateway !== undefined) {
      await this.#gateway.start(this.#abort.signal);
      this.#gatewayStarted = true;
      await this.#serving?.recover();
    }
    // A renewal must not revive tasks whose lease ran out while no agent was there.
    await this.#tasks.recover();
    this.#lease.start();
    this.#unwatch = this.#link.watchAssignment((assignment) => {
      this.#tasks.cancel(assignment.cancelledTasks.map(({ taskId }) => taskId));
      this.#serving?.setAssignment(assignment);
    });
    this.#unwatchFlags = this.#link.watchFlags((flags) => this.#flags.take(flags));
    this.#heartbeats.start();
    this.#link.onConnected(() => this.#connected());
    this.#link.onBeat(() => this.#autonomy.heard());
    this.#offers = this.#takeOffers();
    if (options.metricsListen !== undefined) {
      const registry = await createMetrics(this.#metricSources());
      this.#metrics = await startMetricsServer(options.metricsListen, registry, () => this.#health());
    }
    options.logger.info({ nodeId: this.nodeId, bootId: this.#bootId, gateway: this.gatewayAddress }, "agent started");
  }

  stop(options: { readonly endWork?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#stopOnce(options.endWork ?? false);
    return this.#stopping;
  }

  async #stopOnce(endsWork: boolean): Promise<void> {
    this.#abort.abort();
    this.#unwatch();
    this.#unwatchFlags();
    this.#heartbeats.stop();
    await this.#metrics?.stop();
    await this.#flags.stop();
    await this.#tasks.stop();
    await this.#serving?.stop();
    await this.#autonomy.stop();
    if (this.#gatewayStarted) await this.#gateway?.stop({ keepServing: true });
    await this.#lease.stop();
    this.#watchdog.release();
    await this.#link.close();
    await this.#offers;
    if (endsWork) {
      const { dataDir, logger } = this.#parts.options;
      await endWork({ dataDir, nodeId: this.nodeId, runtimes: this.#parts.runtimes, logger });
    }
    await this.#parts.unlock();
  }

  async #takeOffers(): Promise<void> {
    const { logger } = this.#parts.options;
    try {
      // Offers are taken side by side: one that waits for its claim holds up no other.
      for await (const delivery of this.#link.offers(this.#abort.signal)) void this.#tasks.take(delivery);
    } catch (error) {
      if (!this.#abort.signal.aborted) logger.error({ err: error }, "offers are no longer pulled");
    }
  }

  #window(window: Window): void {
    this.#windows.add(window);
    this.#autonomy.observe(window);
  }

  #connected(): void {
    void this.#lease.ensureFresh(0);
    this.#windows.flush();
    this.#heartbeats.changed();
  }

  #servingChanged(): void {
    this.#images.touch();
    this.#heartbeats.changed();
    const { logger } = this.#parts.options;
    this.#models.list().then(
      (digests) => {
        this.#cachedModels = digests;
      },
      (error: unknown) => logger.debug({ err: error }, "model cache not listed"),
    );
  }

  #beat(): void {
    const { identity, capacity, runtimes } = this.#parts;
    this.#sequence += 1n;
    if (this.#link.isConnected) this.#counters.heartbeats += 1;
    this.#images.refresh();
    void this.#disk.refresh();
    const gatewayAddress = this.gatewayAddress;
    this.#link.heartbeat(
      composeHeartbeat({
        ...{
          nodeId: identity.nodeId,
          bootId: this.#bootId,
          capacity,
          runtimes,
          gatewayAddress,
          sealKey: this.#sealKey,
        },
        sequence: this.#sequence,
        tasks: this.#tasks.running,
        serving: this.#serving,
        cachedModels: this.#cachedModels,
        images: this.#images.bytes,
        freeDiskMib: this.#disk.freeMib,
      }),
    );
  }

  #metricSources(): MetricSources {
    return {
      counters: this.#counters,
      runningTasks: () => this.#tasks.running.length,
      replicas: () => this.#serving?.replicas ?? [],
      leaseAgeMs: () => this.#lease.ageMs,
      isConnected: () => this.#link.isConnected,
      isCutOff: () => this.#autonomy.isCutOff,
      droppedWindows: () => this.#windows.dropped,
      gateway: () => this.#gateway?.stats(),
    };
  }

  #health(): Health {
    return {
      nodeId: this.nodeId,
      connected: this.#link.isConnected,
      leaseHeld: this.#lease.held,
      gateway: this.gatewayAddress,
    };
  }
}
