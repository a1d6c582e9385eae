import { existsSync } from "node:fs";
import { silentLogger, systemClock } from "@kedge/kernel";
import { gatewayPaths } from "./haproxy-config.ts";
import { HaproxyProcess } from "./haproxy-process.ts";
import { RuntimeSocket } from "./runtime-socket.ts";

/**
 * Ends the HAProxy that a gateway left serving from this folder; requests in flight get five seconds. For when no
 * gateway of the folder is running. A folder without one is fine.
 */
export async function endGateway(dir: string): Promise<void> {
  const paths = gatewayPaths(dir);
  if (!existsSync(paths.process)) return;
  const socket = new RuntimeSocket(paths.adminSocket);
  const haproxy = new HaproxyProcess({ haproxyPath: "", paths, socket, clock: systemClock, logger: silentLogger });
  await haproxy.adopt();
  await haproxy.stop();
}
