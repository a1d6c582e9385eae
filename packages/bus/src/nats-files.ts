import type { Authority } from "./authority.ts";
import type { NatsConfigOptions } from "./nats-config.ts";
import { writePrivateFile } from "./private-file.ts";

/**
 * Writes what a nats-server that trusts this authority starts with: its configuration, certificate and key, readable by
 * their owner only. May be called again; a server that runs takes no notice.
 */
export async function writeNatsFiles(
  configFile: string,
  config: NatsConfigOptions,
  authority: Authority,
): Promise<void> {
  const { certPem, keyPem } = authority.serverCertificate;
  await writePrivateFile(config.certFile, certPem);
  await writePrivateFile(config.keyFile, keyPem);
  await writePrivateFile(configFile, await authority.natsConfig(config));
}
