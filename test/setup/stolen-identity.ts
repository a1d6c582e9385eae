import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Bus, connectBus, NODE_API_PREFIX, nodeInboxPrefix } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import type { ClusterNode } from "./cluster.ts";

/** Connects to NATS with all that a node's data folder holds, as somebody who took the machine over would. */
export async function connectAs({ id, dataDir }: ClusterNode, signal: AbortSignal): Promise<Bus> {
  const identity: unknown = JSON.parse(await readFile(join(dataDir, "identity.json"), "utf8"));
  const { natsServers, caPem, natsJwt } = identity as { natsServers: string[]; caPem: string; natsJwt: string };
  const seed = Buffer.from((await readFile(join(dataDir, "node.nk"), "ascii")).trim(), "ascii");
  const names = { name: `hostile-${id}`, inboxPrefix: nodeInboxPrefix(id), apiPrefix: NODE_API_PREFIX };
  const settings = { servers: natsServers, caPem, jwt: natsJwt, seed, ...names };
  return connectBus({ ...settings, logger: silentLogger, clock: systemClock }, signal);
}
