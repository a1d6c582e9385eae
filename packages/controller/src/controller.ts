import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Bus, connectBus, openAuthority, provisionStore } from "@kedge/bus";
import { type Component, ComponentGroup, type Logger } from "@kedge/kernel";
import { createRpcServer, type RpcServer } from "@kedge/rpc";
import { ensureAdminToken } from "./admin-token.ts";
import { type Assembly, assemble } from "./assemble.ts";
import { type ControllerConfig, type ControllerOptions, resolveControllerOptions } from "./config.ts";
import { lockDataDir } from "./data-dir-lock.ts";
import { HttpServer } from "./http-server.ts";
import { Leadership } from "./leadership.ts";
import { createNatsServer, serverHosts } from "./nats-server.ts";
import { startStores } from "./stores.ts";

/** A controller that runs. */
export interface RunningController {
  /** host:port of the gRPC service, as clients on this machine reach it. */
  readonly address: string;
  /** host:port of /metrics. */
  readonly httpAddress: string;
  /** host:port of the NATS server. */
  readonly natsAddress: string;
  /** Process id of the embedded NATS server; 0 with an external one. */
  readonly natsPid: () => number;
  readonly caPem: string;
  readonly caFingerprint: string;
  /** Bearer token with every right, for whoever owns the machine. */
  readonly adminToken: string;
  /** Stops everything in order; agents go on by themselves. `keepNats` leaves the NATS server running. May be called twice. */
  stop(options?: { readonly keepNats?: boolean }): Promise<void>;
}

/**
 * Starts NATS, unless it runs elsewhere, and the controller in this process, and resolves when both serve.
 *
 * @throws KedgeError UNSUPPORTED_PLATFORM without nats-server, INVALID_OPTION, PROCESS_FAILED.
 */
export async function startController(options: ControllerOptions, signal: AbortSignal): Promise<RunningController> {
  const config = resolveControllerOptions(options);
  const { clock, logger } = config;
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const authority = await openAuthority(join(config.dataDir, "authority"), { hosts: serverHosts(config), clock });
  const nats = await createNatsServer(config, authority);
  const unlock = await lockDataDir(config.dataDir);
  const started: Component[] = [];
  const stop = async ({ keepNats = false } = {}): Promise<void> => {
    for (const component of started.splice(0).reverse()) await stopQuietly(component, logger);
    await (keepNats ? nats.detach() : nats.stop());
    await unlock();
  };
  try {
    await nats.start(signal);
    const connect = (name: string, credentials: { jwt: string; seed: Uint8Array }): Promise<Bus> =>
      connectBus({ servers: [nats.address], caPem: authority.caPem, ...credentials, name, clock, logger }, signal);
    const admin = await connect("admin", await authority.adminCredentials());
    started.push(closing("admin-bus", admin));
    await authority.syncAccounts(admin);
    const bus = await connect("controller", await authority.controllerCredentials());
    started.push(closing("bus", bus));
    await provisionStore(bus, { replicas: 1 });
    const abort = new AbortController();
    let leadership: Leadership | undefined;
    const isLeader = (): boolean => leadership?.isLeader ?? false;
    const assembly = assemble({ bus, admin, authority, config, natsServer: nats.advertised, isLeader });
    leadership = new Leadership({ bus, assembly, config });
    await startStores(assembly.stores, abort.signal);
    started.push({ name: "stores", start: async () => {}, stop: async () => abort.abort() });
    const adminToken = await ensureAdminToken(config.dataDir, assembly.tokens);
    const servers = await serve({ config, assembly, bus, leadership }, signal);
    started.push(servers.group);
    const address = `${config.advertise}:${servers.rpc.port}`;
    logger.info({ address, nats: nats.address, http: servers.http.address }, "controller serves");
    return {
      address,
      httpAddress: servers.http.address,
      natsAddress: nats.address,
      natsPid: () => nats.pid,
      caPem: authority.caPem,
      caFingerprint: authority.caFingerprint,
      adminToken,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Servers {
  readonly group: Component;
  readonly rpc: RpcServer;
  readonly http: HttpServer;
}

interface ServeOptions {
  readonly config: ControllerConfig;
  readonly assembly: Assembly;
  readonly bus: Bus;
  readonly leadership: Leadership;
}

/** Starts loops (once elected), gRPC and HTTP, in that order. */
async function serve({ config, assembly, bus, leadership }: ServeOptions, signal: AbortSignal): Promise<Servers> {
  const { clock, logger } = config;
  const { certPem, keyPem } = assembly.authority.serverCertificate;
  const rpc = createRpcServer({
    address: `${config.listen.host}:${config.listen.port}`,
    tls: { certPem, keyPem, caPem: assembly.authority.caPem },
    services: assembly.services,
    authenticate: (token, call) => {
      const principal = assembly.authenticate(token, call);
      leadership.assertMay(call.method);
      return principal;
    },
    onCall: (record) => assembly.metrics.call(record),
    logger,
    clock,
  });
  const http = new HttpServer({
    listen: config.httpListen,
    metrics: assembly.metrics,
    routes: assembly.httpRoutes,
    notReady: () => {
      if (!bus.connected) return "NATS does not answer";
      return leadership.isLeader ? undefined : "another controller holds the lease";
    },
  });
  const stopping = new ComponentGroup([leadership, rpc, http], logger);
  await stopping.start(signal);
  const httpPort = http.address.slice(http.address.lastIndexOf(":") + 1);
  assembly.setAddresses({ rpc: `${config.advertise}:${rpc.port}`, http: `${config.advertise}:${httpPort}` });
  rpc.setServing(bus.connected);
  const unfollow = bus.onStatus((status) => rpc.setServing(status === "connected"));
  const stop = async (): Promise<void> => {
    unfollow();
    await stopping.stop();
  };
  return { group: { name: "servers", start: async () => {}, stop }, rpc, http };
}

/** What comes after one that does not stop must be stopped all the same. */
async function stopQuietly(component: Component, logger: Logger): Promise<void> {
  try {
    await component.stop();
  } catch (err) {
    logger.warn({ err, component: component.name }, "component did not stop cleanly");
  }
}

function closing(name: string, bus: Bus): Component {
  return { name, start: async () => {}, stop: () => bus.close() };
}
