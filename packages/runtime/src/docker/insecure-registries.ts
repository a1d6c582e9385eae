import { isIP } from "node:net";
import { z } from "zod";
import type { DockerClient } from "./connect.ts";
import { callDocker } from "./docker-error.ts";

const infoSchema = z.object({
  RegistryConfig: z
    .object({ IndexConfigs: z.record(z.string(), z.object({ Secure: z.boolean() })).nullish() })
    .nullish(),
});

/** Tells whether the engine takes a registry that has no TLS: one of this machine, or one that it is configured to trust. */
export async function isInsecure(docker: DockerClient, registry: string): Promise<boolean> {
  const host = registry.replace(/:\d+$/, "");
  if (host === "localhost" || host === "[::1]" || (isIP(host) === 4 && host.startsWith("127."))) return true;
  const info = infoSchema.parse(await callDocker("the engine is asked for its registries", () => docker.info()));
  return info.RegistryConfig?.IndexConfigs?.[registry]?.Secure === false;
}
