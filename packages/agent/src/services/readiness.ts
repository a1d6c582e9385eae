import { connect } from "node:net";
import type { Service } from "@kedge/proto";
import type { ContainerAccess } from "@kedge/runtime";
import { isHealthy } from "../serving/health-probe.ts";

const CONNECT_MS = 1000;

/** Where a service runs. */
export interface ServicePlace {
  /** Id of its workload. */
  readonly id: string;
  /** IPv4 address on the job's network. */
  readonly address: string;
  readonly access: ContainerAccess;
}

/**
 * Asks a service once whether it is ready.
 *
 * @returns what is missing, for people; undefined when it is ready.
 * @throws what the signal aborted with.
 */
export async function whatIsMissing(
  { ready }: Service,
  { id, address, access }: ServicePlace,
  signal: AbortSignal,
): Promise<string | undefined> {
  switch (ready.case) {
    case "readyCommand": {
      const exitCode = await access.exec(id, ["sh", "-c", ready.value], signal);
      return exitCode === 0 ? undefined : `its command exits with ${exitCode}`;
    }
    case "readyTcpPort":
      return (await accepts(address, ready.value))
        ? undefined
        : `it does not accept connections on port ${ready.value}`;
    case "readyHttp": {
      const { port, path } = ready.value;
      return (await isHealthy(port, path || "/", address))
        ? undefined
        : `it does not answer 2xx on :${port}${path || "/"}`;
    }
    case undefined:
      return undefined;
    default:
      return ready satisfies never;
  }
}

/** Whether something accepts connections there. Never throws. */
function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS });
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("connect", end(true)).on("timeout", end(false)).on("error", end(false));
  });
}
