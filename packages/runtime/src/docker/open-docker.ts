import type { Clock, Logger } from "@kedge/kernel";
import { RuntimeKind } from "@kedge/proto";
import type { ContainerAccess } from "../container-access.ts";
import type { ImageStore } from "../image-store.ts";
import type { Networks } from "../networks.ts";
import type { Runtime } from "../runtime.ts";
import { connectDocker } from "./connect.ts";
import { INSTANCE_LABEL } from "./container-spec.ts";
import { createContainerAccess } from "./docker-access.ts";
import { createImageStore } from "./docker-images.ts";
import { createNetworks } from "./docker-networks.ts";
import { createDockerRuntime } from "./docker-runtime.ts";
import { askEngine } from "./engine-request.ts";

/** Everything of one Docker Engine. */
export interface DockerParts {
  readonly runtime: Runtime;
  readonly images: ImageStore;
  readonly networks: Networks;
  readonly access: ContainerAccess;
}

/** Which engine, and whose workloads. */
export interface OpenDockerOptions {
  readonly socketPath: string;
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The version of the engine behind a socket; fails with `DOCKER_UNAVAILABLE` when it does not answer. */
export async function engineVersion(socketPath: string): Promise<string> {
  const answer = await askEngine(socketPath, "/version");
  return typeof answer === "object" && answer !== null && "Version" in answer ? String(answer.Version) : "unknown";
}

/**
 * The parts of an engine for a program that may never use them: the Docker client and what it needs are loaded at the
 * first use. Listing workloads or networks where there are none is not a use.
 */
export function openDocker(options: OpenDockerOptions): DockerParts {
  const { socketPath, instance, clock, logger } = options;
  let opened: DockerParts | undefined;
  const open = (): DockerParts => {
    if (opened !== undefined) return opened;
    const docker = connectDocker(socketPath);
    const runtime = createDockerRuntime({ docker, clock, logger, instance });
    opened = {
      runtime,
      images: createImageStore({ docker }),
      networks: createNetworks(docker),
      access: createContainerAccess(docker, instance),
    };
    return opened;
  };
  const isEmpty = async (): Promise<boolean> => {
    const filters = encodeURIComponent(JSON.stringify({ label: [`${INSTANCE_LABEL}=${instance}`] }));
    const found = await askEngine(socketPath, `/containers/json?all=true&filters=${filters}`);
    return Array.isArray(found) && found.length === 0;
  };
  const hasNetwork = async (labels: Readonly<Record<string, string>>): Promise<boolean> => {
    const label = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    const found = await askEngine(socketPath, `/networks?filters=${encodeURIComponent(JSON.stringify({ label }))}`);
    return Array.isArray(found) && found.length > 0;
  };
  return {
    runtime: {
      kind: RuntimeKind.DOCKER,
      start: (spec, signal) => open().runtime.start(spec, signal),
      list: async (labels) => (opened === undefined && (await isEmpty()) ? [] : open().runtime.list(labels)),
      wait: (id, signal) => open().runtime.wait(id, signal),
      logs: (id, logOptions) => open().runtime.logs(id, logOptions),
      stop: (id, graceMs) => open().runtime.stop(id, graceMs),
      remove: (id) => open().runtime.remove(id),
    },
    images: {
      build: (build) => open().images.build(build),
      push: (tag, transfer) => open().images.push(tag, transfer),
      pushIndex: (tag, parts, transfer) => open().images.pushIndex(tag, parts, transfer),
      pull: (image, transfer) => open().images.pull(image, transfer),
      find: (image) => open().images.find(image),
      importTar: (tag, tar) => open().images.importTar(tag, tar),
      remove: (image) => open().images.remove(image),
    },
    networks: {
      ensure: (name, labels) => open().networks.ensure(name, labels),
      list: async (labels) => (opened === undefined && !(await hasNetwork(labels)) ? [] : open().networks.list(labels)),
      hostAddress: (name) => open().networks.hostAddress(name),
      remove: (name) => open().networks.remove(name),
    },
    access: {
      exec: (id, command, signal) => open().access.exec(id, command, signal),
      address: (id, network) => open().access.address(id, network),
    },
  };
}
