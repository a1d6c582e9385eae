import { randomBytes } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describeSealKey, type SecretValueMap, sealSecrets } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import { newId } from "@kedge/kernel";
import type { LogChunk, TaskEvent, TaskOffer } from "@kedge/proto";
import { createUser } from "@nats-io/nkeys";
import { type AgentOptions, type ResolvedAgentOptions, resolveAgentOptions } from "../config.ts";
import { endWork } from "../end-work.ts";
import { bootTimeMs } from "../node/boot-clock.ts";
import { LeaseFile } from "../node/lease-file.ts";
import { openRuntimes } from "../node/runtimes.ts";
import { Watchdog } from "../node/watchdog.ts";
import { secretsRoot } from "../secrets/secrets-folder.ts";
import { lockDataDir, lockOwner } from "../state/data-lock.ts";
import type { StepRuntimes } from "../steps/step-context.ts";
import { sweepOrphans } from "../tasks/orphans.ts";
import { isTaskId, TaskRecord } from "../tasks/task-record.ts";
import { TaskRunner } from "../tasks/task-runner.ts";
import { removeWorkspace } from "../tasks/workspace.ts";
import { localFileStore } from "./local-files.ts";

/** How tasks are run without a controller. */
export interface LocalNodeOptions
  extends Pick<AgentOptions, "dockerSocket" | "runtimes" | "clock" | "logger" | "modelServerEntry"> {
  /** Absolute folder; each local node has one of its own in it while it runs. */
  readonly baseDir: string;
  readonly onEvent: (event: TaskEvent) => void;
  readonly onLog: (chunk: LogChunk) => void;
}

const LEASE_MS = 5_000;
const RENEW_MS = 1_000;

/** Runs tasks on this machine as an agent does, without a controller or the bus. When the process is killed a watchdog ends its tasks. */
export class LocalNode {
  /** Tells its work from that of others on this machine. */
  readonly nodeId: string;
  readonly #options: LocalNodeOptions;
  readonly #resolved: ResolvedAgentOptions;
  readonly #runtimes: StepRuntimes;
  readonly #unlock: () => Promise<void>;
  readonly #sealKey = randomBytes(32);
  readonly #runners = new Map<string, TaskRunner>();
  readonly #work = new Set<Promise<unknown>>();
  readonly #watchdog: Watchdog;
  readonly #lease: LeaseFile;
  #cancelRenewal: () => void = () => {};

  private constructor(options: LocalNodeOptions, resolved: ResolvedAgentOptions, parts: LocalParts) {
    this.#options = options;
    this.#resolved = resolved;
    this.nodeId = parts.nodeId;
    this.#runtimes = parts.runtimes;
    this.#unlock = parts.unlock;
    const { dataDir, clock, logger } = resolved;
    this.#watchdog = new Watchdog({ dataDir, leaseMs: LEASE_MS, clock, logger });
    this.#lease = new LeaseFile(dataDir);
  }

  /**
   * Makes a node in a folder of its own. What local nodes have left that were killed is ended and removed first.
   *
   * @throws KedgeError INVALID_OPTION.
   */
  static async open(options: LocalNodeOptions): Promise<LocalNode> {
    const { baseDir, onEvent: _event, onLog: _log, ...rest } = options;
    await mkdir(baseDir, { recursive: true, mode: 0o700 });
    await removeDead(options);
    const nodeId = `local-${newId(resolved(rest, baseDir).clock)}`;
    const dataDir = join(baseDir, nodeId);
    await mkdir(dataDir, { mode: 0o700 });
    const unlock = await lockDataDir(dataDir);
    const own = resolved(rest, dataDir);
    const node = new LocalNode(options, own, { nodeId, unlock, runtimes: await openRuntimes(own, nodeId) });
    node.#renew();
    await node.#watchdog.start();
    return node;
  }

  /**
   * Begins a task. What it does is told by the callbacks; its last event is `finished`.
   *
   * @param secrets values by name, for what the job asks for.
   * @throws KedgeError INVALID_FIELD for an offer that is not for this node.
   */
  start(offer: TaskOffer, secrets: SecretValueMap): void {
    const { ref } = offer;
    const { clock, logger } = this.#resolved;
    const { onEvent, onLog } = this.#options;
    if (ref === undefined || ref.nodeId !== this.nodeId || !isTaskId(ref.taskId)) {
      throw new KedgeError("INVALID_FIELD", "the task is not for this node", { field: "offer.ref" });
    }
    const publicKey = describeSealKey(this.nodeId, createUser().getSeed(), this.#sealKey).publicKey;
    const sealed = secrets.size === 0 ? offer : { ...offer, sealedSecrets: sealSecrets(secrets, publicKey, ref) };
    const claim = { ref, bootId: this.nodeId, nowMs: clock.now() };
    const record = TaskRecord.make(this.#tasksDir, sealed, claim);
    const runner = new TaskRunner({
      ...{ record, runtimes: this.#runtimes, caPem: "", sealKey: this.#sealKey, clock, logger },
      flags: { file: "", url: undefined, containerUrl: () => Promise.resolve(undefined) },
      fileStore: localFileStore({ ...this.#fileDirs, scope: offer.cacheScope, clock }),
      publishEvent: async (event) => onEvent(event),
      publishLog: async (chunk) => onLog(chunk),
      ...{ keepWorkspaces: false, adopted: false },
    });
    this.#runners.set(ref.taskId, runner);
    const work = this.#run(record, runner).finally(() => {
      this.#runners.delete(ref.taskId);
      this.#work.delete(work);
    });
    this.#work.add(work);
  }

  /** Ends a task; its post steps run. One that does not run is fine. */
  cancel(taskId: string): void {
    this.#runners.get(taskId)?.cancel();
  }

  /** Ends whatever runs, at once and without post steps, and removes all that is left. May be called again. */
  async close(): Promise<void> {
    for (const runner of this.#runners.values()) runner.lose();
    await Promise.all(this.#work);
    this.#cancelRenewal();
    this.#watchdog.release();
    const { logger, dataDir } = this.#resolved;
    const search = { nodeId: this.nodeId, tasksDir: this.#tasksDir, runtimes: this.#runtimes, logger };
    await sweepOrphans({ ...search, isLive: () => false });
    await removeFolders(dataDir);
    await this.#unlock();
  }

  /** What this process no longer vouches for the watchdog ends, however the process went. */
  #renew(): void {
    const { clock, logger } = this.#resolved;
    void this.#lease.save(bootTimeMs(), logger);
    this.#cancelRenewal = clock.after(RENEW_MS, () => this.#renew());
  }

  get #fileDirs(): { runDir: string; cacheDir: string } {
    return { runDir: join(this.#resolved.dataDir, "files"), cacheDir: join(this.#options.baseDir, "caches") };
  }

  get #tasksDir(): string {
    return join(this.#resolved.dataDir, "tasks");
  }

  async #run(record: TaskRecord, runner: TaskRunner): Promise<void> {
    const { logger } = this.#resolved;
    try {
      await mkdir(record.workspace, { recursive: true, mode: 0o755 });
      record.save();
      await runner.run();
    } catch (error) {
      logger.error({ err: error, taskId: record.ref.taskId }, "task not carried out");
    }
  }
}

interface LocalParts {
  readonly nodeId: string;
  readonly runtimes: StepRuntimes;
  readonly unlock: () => Promise<void>;
}

function resolved(options: Omit<AgentOptions, "dataDir">, dataDir: string): ResolvedAgentOptions {
  return resolveAgentOptions({ ...options, dataDir });
}

/** Ends what is left of local nodes whose process is gone. */
async function removeDead({ baseDir, onEvent: _event, onLog: _log, ...rest }: LocalNodeOptions): Promise<void> {
  for (const nodeId of await readdir(baseDir)) {
    const dataDir = join(baseDir, nodeId);
    if (!nodeId.startsWith("local-") || (await lockOwner(dataDir)) !== undefined) continue;
    const options = resolved(rest, dataDir);
    const runtimes = await openRuntimes(options, nodeId);
    await endWork({ dataDir, nodeId, runtimes, logger: options.logger });
    await removeFolders(dataDir);
  }
}

async function removeFolders(dataDir: string): Promise<void> {
  await rm(secretsRoot(join(dataDir, "tasks")), { recursive: true, force: true });
  await removeWorkspace(dataDir);
}
