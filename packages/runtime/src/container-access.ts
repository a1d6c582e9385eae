/** A way into containers that run, for the health of what stands beside a job. Ids are those of workloads. */
export interface ContainerAccess {
  /**
   * Runs a command in a running container, as its user; its exit code (126 or 127: there is no such program). It is left
   * to itself when the signal aborts. Fails with CONFLICT when the container does not run.
   */
  exec(id: string, command: readonly string[], signal: AbortSignal): Promise<number>;
  /** Its IPv4 address on a network; undefined when it does not run or is not on it. */
  address(id: string, network: string): Promise<string | undefined>;
}
