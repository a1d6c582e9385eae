import type { RuntimeKind } from "@kedge/proto";
import type { RegistryLogins } from "./registry/registry-logins.ts";

/** A folder or file of the host inside the workload. Containers only. */
export interface Mount {
  /** Absolute path on the host; must exist. */
  readonly source: string;
  /** Absolute path in the container. */
  readonly target: string;
  readonly readOnly: boolean;
}

/** What a workload may use at most. Absent: no limit. Containers only; plain processes are not limited. */
export interface WorkloadLimits {
  /** Thousandths of a CPU. */
  readonly cpuMilli?: number;
  /** Memory without swap; more ends the workload with `outOfMemory`. */
  readonly memoryMib?: number;
  /** Processes and threads; absent: 4096. */
  readonly pids?: number;
}

/** What to run. */
export interface WorkloadSpec {
  /** Unique in the runtime's instance; letters, digits, `_`, `.`, `-`, at most 128. Starting the same id again adopts. */
  readonly id: string;
  /** For `list`. Keys starting with "kedge." are the platform's own. */
  readonly labels: Readonly<Record<string, string>>;
  /** Program and arguments, no shell. Empty: what the image starts by itself (containers only). */
  readonly command: readonly string[];
  /** Containers only, where it is required. */
  readonly image?: string;
  /** When the image is pulled. Default: "missing", if the engine does not have it. */
  readonly pull?: "always" | "missing";
  /** For pulling the image. */
  readonly logins?: RegistryLogins;
  /** The whole environment but PATH, HOME, LANG, PORT and what names GPUs; nothing of the agent's own is passed on. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute folder of the host: working folder and HOME of a process, mounted as /workspace of a container. */
  readonly workspace?: string;
  readonly mounts?: readonly Mount[];
  readonly limits?: WorkloadLimits;
  /** A Docker network's name, or "none". Absent: the engine's default. Containers only. */
  readonly network?: string;
  /** Host names under which the other containers of `network` reach it: DNS labels. Containers only. */
  readonly aliases?: readonly string[];
  /**
   * The workload serves a port. It is told which by the variable PORT: in a container that is `containerPort`, for a
   * process a free one of the host. `Workload.hostPort` says where on 127.0.0.1 it is reached.
   */
  readonly publish?: { readonly containerPort: number };
  /**
   * Ids of the host's GPUs that the workload may use; none of them when empty. Absent, on a host without GPUs: nothing is
   * said of them. A container gets exactly these devices; a process is told by CUDA_VISIBLE_DEVICES, which it could ignore.
   */
  readonly gpus?: readonly string[];
  /** `uid` or `uid:gid`. Containers only; absent: the image's. */
  readonly user?: string;
}

/** How a workload ended. */
export interface Exit {
  /** 127: no such program, 126: not executable, 128 + n: ended by signal n (or chose that code itself). */
  readonly exitCode: number;
  /** Named after an exit code of 128 + n, e.g. "SIGKILL". */
  readonly signal?: string;
  /** The kernel ended it for using more memory than its limit. Always false for a plain process. */
  readonly outOfMemory: boolean;
  readonly finishedAtMs: number;
}

/** A workload the runtime knows: running, or ended and not removed yet. */
export interface Workload {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: "running" | "exited";
  /** On 127.0.0.1, when the spec publishes a port and the workload runs. */
  readonly hostPort?: number;
  /** Main process on the host, where known. */
  readonly pid?: number;
  readonly startedAtMs: number;
  /** Set when exited. */
  readonly exit?: Exit;
}

/** How much of each output a reader has had, in bytes from the start. */
export interface LogOffset {
  readonly stdout: number;
  readonly stderr: number;
}

/** A piece of output; it may end within a line or a character. At most 64 KiB. */
export interface LogChunk {
  readonly stream: "stdout" | "stderr";
  readonly data: Uint8Array;
  /** Give it back as `fromOffset` to go on right behind this chunk, also from another process. */
  readonly offset: LogOffset;
}

/** How to read logs. */
export interface LogOptions {
  readonly signal: AbortSignal;
  /** Absent: from the start. */
  readonly fromOffset?: LogOffset;
}

/**
 * Where workloads run. They outlive the agent: after a restart `list` finds them and every method works on them.
 * All methods may be called concurrently and again. Errors: `DOCKER_UNAVAILABLE` and `IMAGE_UNAVAILABLE` may pass by
 * themselves, `INVALID_FIELD` is a spec this runtime cannot run; a workload that fails is an `Exit`, not an error.
 */
export interface Runtime {
  readonly kind: RuntimeKind;

  /**
   * Starts a workload. With an id that exists, running or ended, it is adopted and the rest of the spec is ignored. When
   * the signal aborts an image is pulled no further; whether the workload exists is left open then.
   */
  start(spec: WorkloadSpec, signal?: AbortSignal): Promise<Workload>;

  /** The instance's workloads that carry all these labels; `{}`: all of them, orphans of an earlier agent included. */
  list(labels: Readonly<Record<string, string>>): Promise<readonly Workload[]>;

  /** Resolves at the workload's end, at once if it has ended. Rejects when the signal aborts or the id is unknown. */
  wait(id: string, signal: AbortSignal): Promise<Exit>;

  /** What the workload has written and goes on writing, until it ends. Each stream is in order; memory use is flat. */
  logs(id: string, options: LogOptions): AsyncIterable<LogChunk>;

  /** Asks the workload to end (SIGTERM), ends it after the grace time (SIGKILL). Resolves when it has ended. */
  stop(id: string, graceMs: number): Promise<void>;

  /** Ends the workload at once if it runs and forgets it with its logs. An unknown id is fine. */
  remove(id: string): Promise<void>;
}
