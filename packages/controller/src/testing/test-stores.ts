import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Bus,
  connectBus,
  EmbeddedNats,
  findNatsServer,
  openAuthority,
  provisionStore,
  type Signer,
} from "@kedge/bus";
import { silentLogger as logger, systemClock } from "@kedge/kernel";
import { EventRecorder } from "../events/recorder.ts";
import { openStores, type Stores, startStores } from "../stores.ts";

/** The stores of a controller, without the controller. */
export interface TestStores {
  readonly stores: Stores;
  readonly events: EventRecorder;
  readonly bus: Bus;
  readonly signer: Signer;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

/** Opens all stores on a NATS server of their own. Always `stop` them. */
export async function startTestStores(): Promise<TestStores> {
  const abort = new AbortController();
  const { signal } = abort;
  const dir = await mkdtemp(join(tmpdir(), "kedge-stores-"));
  const authority = await openAuthority(join(dir, "authority"), { hosts: [] });
  const binary = await findNatsServer({ env: process.env });
  const nats = new EmbeddedNats({ dir: join(dir, "nats"), binary, authority, clock: systemClock, logger });
  await nats.start(signal);
  const server = { servers: [nats.address], caPem: authority.caPem, clock: systemClock, logger };
  const admin = await connectBus({ ...server, ...(await authority.adminCredentials()), name: "admin" }, signal);
  await authority.syncAccounts(admin);
  const bus = await connectBus({ ...server, ...(await authority.controllerCredentials()), name: "test" }, signal);
  await provisionStore(bus, { replicas: 1 });
  const stores = openStores(bus, authority.signer);
  await startStores(stores, signal);
  const stop = async (): Promise<void> => {
    abort.abort();
    await Promise.all(Object.values(stores).map((store) => store.stopped()));
    for (const connection of [bus, admin]) await connection.close();
    await nats.stop();
    await rm(dir, { recursive: true, force: true });
  };
  return { stores, events: new EventRecorder(bus, systemClock, logger), bus, signer: authority.signer, stop };
}
