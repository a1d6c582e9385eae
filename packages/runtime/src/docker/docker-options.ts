import { KedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import type { DockerClient } from "./connect.ts";

/** What a Docker runtime needs. */
export interface DockerRuntimeOptions {
  readonly docker: DockerClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tells this agent's containers from those of others on the same engine, e.g. the node's name. */
  readonly instance: string;
  /**
   * Capabilities a container keeps; all others are dropped. Default: what a build needs that runs as root in its
   * container (CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID).
   */
  readonly capabilities?: readonly string[];
  /**
   * Size at which the engine begins a new log file of a container; it keeps two. Default 1024. Output beyond twice
   * this is lost to readers that have not had it, and offsets no longer fit: keep it above what a workload may write.
   */
  readonly logMaxMib?: number;
}

/** The options with their defaults. */
export type ResolvedDockerOptions = Required<DockerRuntimeOptions>;

const INSTANCE = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const DEFAULT_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];

/** Fills in defaults; fails with `INVALID_OPTION`. */
export function resolveDockerOptions(options: DockerRuntimeOptions): ResolvedDockerOptions {
  if (!INSTANCE.test(options.instance)) {
    throw new KedgeError("INVALID_OPTION", `instance must match ${INSTANCE.source}, not "${options.instance}"`, {
      field: "instance",
    });
  }
  const logMaxMib = options.logMaxMib ?? 1024;
  if (!Number.isInteger(logMaxMib) || logMaxMib < 1) {
    throw new KedgeError("INVALID_OPTION", `logMaxMib must be a whole number from 1, not ${logMaxMib}`, {
      field: "logMaxMib",
    });
  }
  return { ...options, logMaxMib, capabilities: options.capabilities ?? DEFAULT_CAPABILITIES };
}
