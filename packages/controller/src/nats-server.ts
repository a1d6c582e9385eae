import { join } from "node:path";
import { type Authority, EmbeddedNats, findNatsServer } from "@kedge/bus";
import type { Component } from "@kedge/kernel";
import type { ControllerConfig } from "./config.ts";

/** The NATS server of a controller: its own, or one that runs elsewhere. */
export interface NatsServer extends Component {
  /** host:port for the controller itself, once started. */
  readonly address: string;
  /** host:port that nodes are told. */
  readonly advertised: string;
  /** Process id; 0 when the server is not ours. */
  readonly pid: number;
  /** Lets go of the server without ending it. */
  detach(): Promise<void>;
}

/** Hosts in the certificate that the gRPC service and the NATS server share. */
export function serverHosts({ advertise, natsExternal }: ControllerConfig): string[] {
  return natsExternal === undefined ? [advertise] : [advertise, natsExternal.host];
}

/** @throws KedgeError UNSUPPORTED_PLATFORM when a server of our own is wanted and nats-server is not there. */
export async function createNatsServer(config: ControllerConfig, authority: Authority): Promise<NatsServer> {
  const { clock, logger, natsExternal, natsListen } = config;
  if (natsExternal !== undefined) {
    const address = `${natsExternal.host}:${natsExternal.port}`;
    const nothing = async (): Promise<void> => {};
    return {
      name: "external-nats",
      address,
      advertised: address,
      pid: 0,
      start: nothing,
      stop: nothing,
      detach: nothing,
    };
  }
  const binary = await findNatsServer({ env: config.env });
  const nats = new EmbeddedNats({ dir: join(config.dataDir, "nats"), binary, authority, ...natsListen, clock, logger });
  return {
    name: nats.name,
    get address() {
      return nats.address;
    },
    get advertised() {
      return `${config.advertise}:${nats.address.split(":").at(-1)}`;
    },
    get pid() {
      return nats.pid;
    },
    start: (signal) => nats.start(signal),
    stop: () => nats.stop(),
    detach: () => nats.detach(),
  };
}
