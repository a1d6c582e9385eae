import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { KedgeError } from "@kedge/domain";
import { type Clock, type Logger, silentLogger, systemClock } from "@kedge/kernel";
import type { CapacityOverride } from "./node/capacity.ts";
import { DEFAULT_LOG_LIMIT } from "./tasks/log-publisher.ts";

/** Where something listens. */
export interface ListenAddress {
  /** IP address. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** A way to run work on this node. */
export type RuntimeName = "process" | "docker";

/** How an agent is started. */
export interface AgentOptions {
  /** Absolute folder that `joinNode` filled. */
  readonly dataDir: string;
  /** Main script of the model server, .js or .ts. */
  readonly modelServerEntry: string;
  /** Where users reach the deployments of this node. Default 127.0.0.1, any free port, which is then kept. */
  readonly gatewayListen?: ListenAddress;
  /** Default: plain processes, and Docker if its engine answers. */
  readonly runtimes?: readonly RuntimeName[];
  /** Where /metrics and /healthz are served. Default: nowhere. */
  readonly metricsListen?: ListenAddress;
  /** Amounts to report instead of the measured ones, custom resources, and what the node costs. */
  readonly capacity?: CapacityOverride;
  /** Default /usr/sbin/haproxy. Without that program the node runs tasks only. */
  readonly haproxyPath?: string;
  /** Default /var/run/docker.sock. */
  readonly dockerSocket?: string;
  /** File with the node's logins to registries, for images of deployments. Default: where `docker login` writes it. */
  readonly dockerConfig?: string;
  /** Leave workspaces of ended tasks on the disk. Default false. */
  readonly keepWorkspaces?: boolean;
  /** Most bytes of a task's output that are kept in its log, from 1 KiB; default 1 GiB. */
  readonly logLimitBytes?: number;
  /**
   * How long tasks may run after the last stored renewal of the lease was sent, 1000 to 30,000; default 30,000, which
   * the controller counts on. Less ends tasks sooner when the controller is away.
   */
  readonly leaseMs?: number;
  /** Silence of the controller after which the node judges rollouts on its own, 1000 to 60,000; default 5000. */
  readonly cutOffMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** Options with defaults, checked. */
export interface ResolvedAgentOptions extends Required<Omit<AgentOptions, "runtimes" | "metricsListen">> {
  /** Undefined: what is there. */
  readonly runtimes: readonly RuntimeName[] | undefined;
  readonly metricsListen: ListenAddress | undefined;
}

/** After it and a margin of 5 s the controller gives a silent node's tasks away. */
const MAX_LEASE_MS = 30_000;
const MIN_LOG_LIMIT = 1024;
const MAX_CUT_OFF_MS = 60_000;
const CUT_OFF_MS = 5_000;

/**
 * Fills in defaults.
 *
 * @throws KedgeError INVALID_OPTION naming the option, what it must be and what came.
 */
export function resolveAgentOptions(options: AgentOptions): ResolvedAgentOptions {
  const resolved: ResolvedAgentOptions = {
    gatewayListen: { host: "127.0.0.1", port: 0 },
    capacity: {},
    haproxyPath: "/usr/sbin/haproxy",
    dockerSocket: "/var/run/docker.sock",
    dockerConfig: resolve(process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker"), "config.json"),
    keepWorkspaces: false,
    logLimitBytes: DEFAULT_LOG_LIMIT,
    leaseMs: MAX_LEASE_MS,
    cutOffMs: CUT_OFF_MS,
    logger: silentLogger,
    clock: systemClock,
    runtimes: undefined,
    metricsListen: undefined,
    ...options,
  };
  for (const field of ["dataDir", "modelServerEntry", "haproxyPath", "dockerSocket", "dockerConfig"] as const) {
    if (!isAbsolute(resolved[field])) throw invalid(field, "an absolute path", resolved[field]);
  }
  const { leaseMs, cutOffMs, logLimitBytes } = resolved;
  if (!Number.isSafeInteger(logLimitBytes) || logLimitBytes < MIN_LOG_LIMIT) {
    throw invalid("logLimitBytes", `a whole number from ${MIN_LOG_LIMIT}`, String(logLimitBytes));
  }
  if (!Number.isInteger(leaseMs) || leaseMs < 1000 || leaseMs > MAX_LEASE_MS) {
    throw invalid("leaseMs", `a whole number from 1000 to ${MAX_LEASE_MS}`, String(leaseMs));
  }
  if (!Number.isInteger(cutOffMs) || cutOffMs < 1000 || cutOffMs > MAX_CUT_OFF_MS) {
    throw invalid("cutOffMs", `a whole number from 1000 to ${MAX_CUT_OFF_MS}`, String(cutOffMs));
  }
  assertPort("gatewayListen.port", resolved.gatewayListen.port);
  if (resolved.metricsListen !== undefined) assertPort("metricsListen.port", resolved.metricsListen.port);
  if (resolved.runtimes?.length === 0) throw invalid("runtimes", "at least one runtime", "none");
  assertCapacity(resolved.capacity);
  return resolved;
}

function assertCapacity({ cpuMilli, memoryMib, diskMib, custom = {}, costPerHour = 0 }: CapacityOverride): void {
  for (const [name, amount] of Object.entries({ cpuMilli, memoryMib, diskMib })) {
    if (amount !== undefined) assertAmount(`capacity.${name}`, amount);
  }
  for (const [name, amount] of Object.entries(custom)) {
    // The names that pipelines can ask for.
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(name)) {
      throw invalid("capacity.custom", "names of letters, digits and inner . _ / -", name);
    }
    assertAmount(`capacity.custom.${name}`, amount);
  }
  if (Number.isFinite(costPerHour) && costPerHour >= 0) return;
  throw invalid("capacity.costPerHour", "an amount from 0", String(costPerHour));
}

function assertAmount(field: string, amount: number): void {
  if (Number.isInteger(amount) && amount >= 0 && amount < 2 ** 32) return;
  throw invalid(field, "a whole number from 0", String(amount));
}

function assertPort(field: string, port: number): void {
  if (Number.isInteger(port) && port >= 0 && port < 65_536) return;
  throw invalid(field, "a port from 0 to 65535", String(port));
}

function invalid(field: string, expected: string, actual: string): KedgeError {
  return new KedgeError("INVALID_OPTION", `${field}: expected ${expected}, got ${JSON.stringify(actual)}`, { field });
}
