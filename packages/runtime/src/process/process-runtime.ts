import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { errorMessage, KedgeError } from "@kedge/domain";
import { type Clock, freePort, type Logger } from "@kedge/kernel";
import { RuntimeKind } from "@kedge/proto";
import { exitOf, signalExitCode } from "../exit-code.ts";
import type { Exit, LogChunk, LogOptions, Runtime, Workload, WorkloadSpec } from "../runtime.ts";
import { assertWorkloadId, hasLabels } from "../workload-id.ts";
import { ChildEnd } from "./child-end.ts";
import { FolderChanges } from "./folder-changes.ts";
import { followFiles } from "./process-logs.ts";
import { assertProcessSpec, processEnvironment } from "./process-spec.ts";
import { bootId, isAlive, isReused, type ProcessIdentity } from "./process-stat.ts";
import { wrapperArguments } from "./shell-wrapper.ts";
import {
  createFolder,
  folderNames,
  readExit,
  readMeta,
  readProcess,
  removeFolder,
  type WorkloadMeta,
  writeExit,
  writeMeta,
} from "./workload-folder.ts";

/** What a process runtime needs. */
export interface ProcessRuntimeOptions {
  /** Absolute folder of its own, one folder in it for each workload; made when missing. */
  readonly dir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long a wrapper may take to sign in before it counts as never started. */
const SIGN_IN_MS = 5_000;
/** Bounds the wait for the end of a process that is not our child and left no record. */
const POLL_MS = 250;

/**
 * Runs workloads as process groups of the host. They and their output outlive the agent. Not enforced: limits, file
 * system and network isolation; a process that leaves its group (setsid) is not stopped with it.
 */
export function createProcessRuntime(options: ProcessRuntimeOptions): Runtime {
  if (!isAbsolute(options.dir)) {
    throw new KedgeError("INVALID_OPTION", `dir must be an absolute path, not "${options.dir}"`, { field: "dir" });
  }
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  return new ProcessRuntime(options);
}

class ProcessRuntime implements Runtime {
  readonly kind = RuntimeKind.PROCESS;
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #bootId = bootId();
  /** Wrappers started by this object that run still. */
  readonly #children = new Map<string, ChildProcess>();

  constructor(options: ProcessRuntimeOptions) {
    this.#dir = options.dir;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  async start(spec: WorkloadSpec, signal?: AbortSignal): Promise<Workload> {
    signal?.throwIfAborted();
    const folder = this.#folder(spec.id);
    assertProcessSpec(spec);
    const hostPort = spec.publish === undefined ? undefined : await freePort();
    if (!createFolder(folder)) return this.#adopt(spec, folder);
    const meta = this.#meta(spec, hostPort);
    writeMeta(folder, meta);
    const child = await this.#spawn(spec, folder, hostPort);
    return workload(meta, child.pid);
  }

  async list(labels: Readonly<Record<string, string>>): Promise<readonly Workload[]> {
    const names = await folderNames(this.#dir);
    const all = await Promise.all(names.map((name) => this.#look(join(this.#dir, name))));
    return all.filter((found) => found !== undefined).filter((found) => hasLabels(found.labels, labels));
  }

  async wait(id: string, signal: AbortSignal): Promise<Exit> {
    const folder = this.#folder(id);
    const child = this.#children.get(id);
    using changes = child === undefined ? new FolderChanges(folder, this.#clock) : new ChildEnd(child, this.#clock);
    child?.ref();
    try {
      for (;;) {
        signal.throwIfAborted();
        const found = await this.#require(id);
        if (found.exit !== undefined) return found.exit;
        await changes.next(POLL_MS, signal);
      }
    } finally {
      child?.unref();
    }
  }

  async *logs(id: string, options: LogOptions): AsyncGenerator<LogChunk> {
    await this.#require(id);
    const hasEnded = async (): Promise<boolean> => (await this.#look(this.#folder(id)))?.state !== "running";
    yield* followFiles({ folder: this.#folder(id), clock: this.#clock, hasEnded }, options);
  }

  async stop(id: string, graceMs: number): Promise<void> {
    const folder = this.#folder(id);
    if ((await this.#require(id)).state === "exited") return;
    if (graceMs > 0) {
      await this.#signal(folder, "SIGTERM");
      if (await this.#endsWithin(id, graceMs)) return;
    }
    await this.#signal(folder, "SIGKILL");
    await this.wait(id, new AbortController().signal);
  }

  async remove(id: string): Promise<void> {
    const folder = this.#folder(id);
    const found = await this.#look(folder);
    if (found?.state === "running") await this.stop(id, 0);
    removeFolder(folder);
  }

  #folder(id: string): string {
    assertWorkloadId(id);
    return join(this.#dir, id);
  }

  #meta(spec: WorkloadSpec, hostPort: number | undefined): WorkloadMeta {
    return {
      id: spec.id,
      labels: spec.labels,
      startedAtMs: this.#clock.now(),
      bootId: this.#bootId,
      ...(hostPort === undefined ? {} : { hostPort }),
    };
  }

  /** Starts the wrapper, a group and session of its own, its output going straight to files. */
  async #spawn(spec: WorkloadSpec, folder: string, hostPort: number | undefined): Promise<ChildProcess> {
    const stdout = openSync(join(folder, "stdout"), "a", 0o600);
    const stderr = openSync(join(folder, "stderr"), "a", 0o600);
    const child = spawn("/bin/sh", wrapperArguments(folder, spec.command), {
      cwd: spec.workspace ?? folder,
      env: processEnvironment(spec, folder, hostPort),
      detached: true,
      stdio: ["ignore", stdout, stderr],
    });
    closeSync(stdout);
    closeSync(stderr);
    if (child.pid === undefined) await this.#notSpawned(child, folder, spec);
    child.unref();
    this.#children.set(spec.id, child);
    child.once("exit", (code, signal) => {
      void this.#onChildExit(spec.id, child, code ?? signalExitCode(signal ?? "SIGKILL"));
    });
    return child;
  }

  async #notSpawned(child: ChildProcess, folder: string, spec: WorkloadSpec): Promise<never> {
    const cause = await new Promise<Error>((resolve) => child.once("error", resolve));
    removeFolder(folder);
    throw new KedgeError("PROCESS_FAILED", `workload ${spec.id} cannot be started: ${errorMessage(cause)}`, {
      cause,
      hint: `the workspace must exist: ${spec.workspace ?? folder}`,
    });
  }

  /** The wrapper ends by SIGKILL of its own when it has recorded the code. Whatever else happened is recorded here. */
  async #onChildExit(id: string, child: ChildProcess, exitCode: number): Promise<void> {
    const folder = this.#folder(id);
    try {
      const parent = readProcess(folder);
      // Another wrapper signed in: ours left again without having run anything.
      if (parent === undefined) writeExit(folder, exitCode);
      else if (parent.pid === child.pid) await this.#endedUnseen(folder, parent, exitCode);
    } catch (err) {
      this.#logger.error({ err, workload: id }, "the end of a process could not be recorded");
    } finally {
      if (this.#children.get(id) === child) this.#children.delete(id);
    }
  }

  /** An id that exists. When its agent was killed before the process signed in, the start is brought to its end. */
  async #adopt(spec: WorkloadSpec, folder: string): Promise<Workload> {
    const known = await this.#look(folder);
    if (known !== undefined) return known;
    const hostPort = readMeta(folder)?.hostPort ?? (spec.publish === undefined ? undefined : await freePort());
    const meta = this.#meta(spec, hostPort);
    writeMeta(folder, meta);
    await this.#spawn(spec, folder, hostPort);
    return this.#signedIn(spec.id, folder);
  }

  async #signedIn(id: string, folder: string): Promise<Workload> {
    using changes = new FolderChanges(folder, this.#clock);
    const deadline = this.#clock.monotonic() + SIGN_IN_MS;
    for (;;) {
      const found = await this.#look(folder);
      if (found !== undefined) return found;
      if (this.#clock.monotonic() > deadline) {
        throw new KedgeError("PROCESS_FAILED", `the process of workload ${id} did not start`);
      }
      await changes.next(POLL_MS);
    }
  }

  /** The state of a folder; undefined when no process was ever started for it. */
  async #look(folder: string): Promise<Workload | undefined> {
    const meta = readMeta(folder);
    if (meta === undefined) return undefined;
    const recorded = readExit(folder);
    if (recorded !== undefined) return workload(meta, undefined, recorded);
    const child = this.#children.get(meta.id);
    const parent = readProcess(folder);
    if (parent === undefined) return child === undefined ? undefined : workload(meta, child.pid);
    const ofThisBoot = meta.bootId === this.#bootId;
    if (parent.pid === child?.pid || (ofThisBoot && (await isAlive(parent)))) return workload(meta, parent.pid);
    const exitCode = signalExitCode("SIGKILL");
    return workload(meta, undefined, await this.#endedUnseen(folder, ofThisBoot ? parent : undefined, exitCode));
  }

  /** The wrapper is gone. Either it recorded the code after we looked, or it was killed before it could. */
  async #endedUnseen(folder: string, leader: ProcessIdentity | undefined, exitCode: number): Promise<Exit> {
    const recorded = readExit(folder);
    if (recorded !== undefined) return recorded;
    // A group that lives on keeps its leader's pid from being used again: unless it is, the group is ours.
    if (leader !== undefined && !(await isReused(leader))) killGroup(leader.pid, "SIGKILL");
    writeExit(folder, exitCode);
    return readExit(folder) ?? exitOf(exitCode, this.#clock.now());
  }

  async #require(id: string): Promise<Workload> {
    const found = await this.#look(this.#folder(id));
    if (found !== undefined) return found;
    throw new KedgeError("INVALID_FIELD", `no workload ${id} is known`, { field: "id" });
  }

  /** Signals the group, only while its leader is certainly the workload's wrapper. */
  async #signal(folder: string, signal: NodeJS.Signals): Promise<void> {
    const found = await this.#look(folder);
    if (found?.state === "running" && found.pid !== undefined) killGroup(found.pid, signal);
  }

  async #endsWithin(id: string, graceMs: number): Promise<boolean> {
    const patience = new AbortController();
    const cancel = this.#clock.after(graceMs, () => patience.abort());
    try {
      await this.wait(id, patience.signal);
      return true;
    } catch (error) {
      if (!patience.signal.aborted) throw error;
      return false;
    } finally {
      cancel();
    }
  }
}

function killGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // ESRCH: nobody is left, which is what was wanted.
  }
}

function workload(meta: WorkloadMeta, pid: number | undefined, exit?: Exit): Workload {
  const base = { id: meta.id, labels: meta.labels, startedAtMs: meta.startedAtMs };
  if (exit !== undefined) return { ...base, state: "exited", exit };
  return {
    ...base,
    state: "running",
    ...(pid === undefined ? {} : { pid }),
    ...(meta.hostPort === undefined ? {} : { hostPort: meta.hostPort }),
  };
}
