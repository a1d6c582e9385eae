import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Logger, silentLogger, systemClock } from "@kedge/kernel";
import { createUser } from "@nats-io/nkeys";
import { type Authority, openAuthority } from "../authority.ts";
import { type Bus, connectBus } from "../bus.ts";
import { EmbeddedNats } from "../embedded-nats.ts";
import { findNatsServer } from "../nats-binary.ts";
import { NODE_API_PREFIX, nodeInboxPrefix } from "../node-permissions.ts";
import { addNode, provisionStore } from "../provision.ts";

/** How a test server differs from the real thing. */
export interface TestBusOptions {
  /** Default: silent. */
  readonly logger?: Logger;
  /** Default: not flushed to disk on each write, for speed. */
  readonly syncAlways?: boolean;
  /** Another nats-server than the one `findNatsServer` finds. */
  readonly serverPath?: string;
}

/** A node's connection with what a test needs to attack it. */
export interface TestNode {
  readonly bus: Bus;
  readonly publicKey: string;
  readonly jwt: string;
  readonly seed: Uint8Array;
}

/** A real, provisioned NATS server in a folder of its own, for tests of this and other packages. */
export interface TestBus extends AsyncDisposable {
  readonly dir: string;
  readonly nats: EmbeddedNats;
  readonly authority: Authority;
  /** Connected as the controller. */
  readonly bus: Bus;
  /** Connected to the system account. */
  readonly admin: Bus;
  /** Another connection of the controller. */
  connectController(name?: string): Promise<Bus>;
  /** Admits a node and connects as its agent. */
  connectNode(nodeId: string): Promise<TestNode>;
  /** Closes every connection, ends the server, removes the folder. */
  stop(): Promise<void>;
}

/** Starts a test server; takes about half a second. Always `stop` it. */
export async function startTestBus(options: TestBusOptions = {}): Promise<TestBus> {
  const logger = options.logger ?? silentLogger;
  const { signal } = new AbortController();
  const dir = await mkdtemp(join(tmpdir(), "kedge-bus-"));
  const env = options.serverPath === undefined ? process.env : { KEDGE_NATS_SERVER: options.serverPath };
  const authority = await openAuthority(join(dir, "authority"), { hosts: [] });
  const binary = await findNatsServer({ env });
  const syncAlways = options.syncAlways ?? false;
  const natsDir = join(dir, "nats");
  const nats = new EmbeddedNats({ dir: natsDir, binary, authority, syncAlways, clock: systemClock, logger });
  await nats.start(signal);
  const open: Bus[] = [];
  const connect = async (login: Login): Promise<Bus> => {
    const base = { servers: [nats.address], caPem: authority.caPem, clock: systemClock, logger };
    const bus = await connectBus({ ...base, ...login }, signal);
    open.push(bus);
    return bus;
  };
  const connectController = async (name = "controller"): Promise<Bus> =>
    connect({ ...(await authority.controllerCredentials()), name });
  const admin = await connect({ ...(await authority.adminCredentials()), name: "admin" });
  await authority.syncAccounts(admin);
  const bus = await connectController();
  await provisionStore(bus, { replicas: 1 });
  const stop = async (): Promise<void> => {
    for (const connection of open.splice(0).reverse()) await connection.close();
    await nats.stop();
    await rm(dir, { recursive: true, force: true });
  };
  const connectNode = async (nodeId: string): Promise<TestNode> => {
    const user = createUser();
    const publicKey = user.getPublicKey();
    const jwt = await authority.mintNodeJwt(admin, nodeId, publicKey);
    await addNode(bus, nodeId);
    const seed = user.getSeed();
    const inboxPrefix = nodeInboxPrefix(nodeId);
    return {
      bus: await connect({ jwt, seed, name: nodeId, inboxPrefix, apiPrefix: NODE_API_PREFIX }),
      publicKey,
      jwt,
      seed,
    };
  };
  return { dir, nats, authority, bus, admin, connectController, connectNode, stop, [Symbol.asyncDispose]: stop };
}

interface Login {
  readonly jwt: string;
  readonly seed: Uint8Array;
  readonly name: string;
  readonly inboxPrefix?: string;
  readonly apiPrefix?: string;
}
