import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { openAuthority, writeNatsFiles } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import { type ControllerOptions, parseHostPort, resolveControllerOptions } from "./config.ts";
import { serverHosts } from "./nats-server.ts";

/** What the configuration of a NATS server outside the controller is made from. */
export interface NatsConfigFilesOptions extends Omit<ControllerOptions, "natsServer" | "env" | "httpListen"> {
  /** Folder for nats.conf, certificate and key. The server must see it under the same path. */
  readonly outDir: string;
  /** Folder of the server's data, as the server sees it. */
  readonly storeDir: string;
  /** Version of the server, e.g. "2.15.1"; what older ones do not understand is left out. Default 2.11.0. */
  readonly serverVersion?: string;
}

/**
 * Writes what a NATS server outside the controller starts with. `dataDir`, `advertise` and `natsExternal` must be those
 * of the controller: it makes its authority in `dataDir` when there is none yet. May be called again. Only the server's
 * own key leaves the authority. The path of nats.conf.
 *
 * @throws KedgeError INVALID_OPTION.
 */
export async function writeNatsConfig(options: NatsConfigFilesOptions): Promise<string> {
  const config = resolveControllerOptions(options);
  if (config.natsExternal === undefined) {
    throw new KedgeError("INVALID_OPTION", "natsExternal: say where the controller and nodes find the server", {
      field: "natsExternal",
    });
  }
  const listen = parseHostPort("natsListen", options.natsListen ?? `0.0.0.0:${config.natsExternal.port}`);
  const outDir = resolve(options.outDir);
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  await mkdir(outDir, { recursive: true, mode: 0o700 });
  const { clock } = config;
  const authority = await openAuthority(join(config.dataDir, "authority"), { hosts: serverHosts(config), clock });
  const configFile = join(outDir, "nats.conf");
  const server = {
    serverName: `kedge-${authority.caFingerprint.slice(0, 12)}`,
    ...listen,
    dataDir: options.storeDir,
    certFile: join(outDir, "server.crt"),
    keyFile: join(outDir, "server.key"),
    serverVersion: options.serverVersion ?? "2.11.0",
  };
  await writeNatsFiles(configFile, server, authority);
  return configFile;
}
