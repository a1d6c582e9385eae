import { createRequire } from "node:module";
import type Docker from "dockerode";
import { mapDockerError } from "./docker-error.ts";

/** A Docker Engine's client, shared by everything that talks to that engine. */
export type DockerClient = Docker;

/** What the engine says of itself. */
export interface EngineInfo {
  readonly version: string;
  readonly apiVersion: string;
  readonly cpus: number;
  readonly memoryMib: number;
  /** Names of the OCI runtimes; "nvidia" is there when the NVIDIA container toolkit is set up. */
  readonly ociRuntimes: readonly string[];
}

/** A client of the engine behind this socket. Opens no connection yet. */
export function connectDocker(socketPath = "/var/run/docker.sock"): DockerClient {
  // Required here and not imported above: with gRPC and SSH in tow it is the largest thing that an agent may never need.
  const Client: typeof Docker = createRequire(import.meta.url)("dockerode");
  return new Client({ socketPath });
}

/** Asks the engine who it is; fails with `DOCKER_UNAVAILABLE` when it does not answer. */
export async function probeDocker(docker: DockerClient): Promise<EngineInfo> {
  try {
    const [version, info] = await Promise.all([docker.version(), docker.info()]);
    return {
      version: version.Version,
      apiVersion: version.ApiVersion,
      cpus: info.NCPU,
      memoryMib: Math.floor(info.MemTotal / 2 ** 20),
      ociRuntimes: Object.keys(info.Runtimes),
    };
  } catch (error) {
    throw mapDockerError(error, "the Docker Engine was asked for its version");
  }
}
