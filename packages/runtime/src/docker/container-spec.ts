import { KedgeError } from "@kedge/domain";
import type { ContainerCreateOptions, HostConfig, MountSettings } from "dockerode";
import { containerGpuVariables } from "../gpu-variables.ts";
import type { WorkloadSpec } from "../runtime.ts";
import type { ResolvedDockerOptions } from "./docker-options.ts";

/** Where a workload's folder is seen in its container. */
export const CONTAINER_WORKSPACE = "/workspace";
/** Label keys that the runtime itself sets; a spec cannot override them. */
export const INSTANCE_LABEL = "kedge.instance";
export const WORKLOAD_LABEL = "kedge.workload";
const PORT_LABEL = "kedge.port";

const ALIAS = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DEFAULT_PIDS = 4096;
const MIB = 2 ** 20;

/** The container's name: unique on the engine, and the same for the same workload of the same instance. */
export function containerName(instance: string, id: string): string {
  // An instance has no underscore, so no two pairs make the same name.
  return `kedge_${instance}_${id}`;
}

/** The container port that the labels say is published. */
export function publishedPort(labels: Readonly<Record<string, string>>): string | undefined {
  return labels[PORT_LABEL];
}

/** What the engine is asked to create. Fails with `INVALID_FIELD` for a spec without an image. */
export function containerOptions(spec: WorkloadSpec, options: ResolvedDockerOptions): ContainerCreateOptions {
  if (spec.image === undefined || spec.image === "") {
    throw new KedgeError("INVALID_FIELD", "a container needs an image", { field: "image" });
  }
  const port = spec.publish?.containerPort;
  return {
    name: containerName(options.instance, spec.id),
    Image: spec.image,
    Labels: {
      ...spec.labels,
      ...(port === undefined ? {} : { [PORT_LABEL]: String(port) }),
      [INSTANCE_LABEL]: options.instance,
      [WORKLOAD_LABEL]: spec.id,
    },
    Env: Object.entries({
      ...spec.env,
      ...containerGpuVariables(spec.gpus),
      ...(port === undefined ? {} : { PORT: String(port) }),
    }).map(([name, value]) => `${name}=${value}`),
    // As entrypoint, so that the image's own does not come first.
    ...(spec.command.length === 0 ? {} : { Entrypoint: [...spec.command], Cmd: [] }),
    ...(spec.workspace === undefined ? {} : { WorkingDir: CONTAINER_WORKSPACE }),
    ...(spec.user === undefined ? {} : { User: spec.user }),
    ...(port === undefined ? {} : { ExposedPorts: { [`${port}/tcp`]: {} } }),
    HostConfig: hostConfig(spec, options),
    ...networking(spec),
  };
}

function hostConfig(spec: WorkloadSpec, options: ResolvedDockerOptions): HostConfig {
  const memory = (spec.limits?.memoryMib ?? 0) * MIB;
  const port = spec.publish?.containerPort;
  return {
    Mounts: mounts(spec),
    ...(memory > 0 ? { Memory: memory, MemorySwap: memory } : {}),
    ...(spec.limits?.cpuMilli ? { NanoCpus: spec.limits.cpuMilli * 1_000_000 } : {}),
    PidsLimit: spec.limits?.pids ?? DEFAULT_PIDS,
    CapDrop: ["ALL"],
    CapAdd: [...options.capabilities],
    SecurityOpt: ["no-new-privileges"],
    // A first process that reaps orphans and passes signals on, which programs written for a shell do not.
    Init: true,
    RestartPolicy: { Name: "no" },
    LogConfig: { Type: "json-file", Config: { "max-size": `${options.logMaxMib}m`, "max-file": "2" } },
    ...(spec.network === undefined ? {} : { NetworkMode: spec.network }),
    ...(port === undefined ? {} : { PortBindings: { [`${port}/tcp`]: [{ HostIp: "127.0.0.1", HostPort: "0" }] } }),
    ...(asksForGpus(spec) ? { DeviceRequests: [{ DeviceIDs: [...spec.gpus], Capabilities: [["gpu"]] }] } : {}),
  };
}

function networking({ network, aliases = [] }: WorkloadSpec): Pick<ContainerCreateOptions, "NetworkingConfig"> {
  if (aliases.length === 0) return {};
  const bad = aliases.find((alias) => !ALIAS.test(alias));
  if (bad !== undefined || network === undefined) {
    const problem = bad === undefined ? "names need a network" : `${JSON.stringify(bad)} is not a host name`;
    throw new KedgeError("INVALID_FIELD", problem, { field: "aliases" });
  }
  return { NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [...aliases] } } } };
}

/** Bind mounts of the newer kind: a source that does not exist is an error, not a new folder owned by root. */
function mounts(spec: WorkloadSpec): MountSettings[] {
  const all = (spec.mounts ?? []).map((mount) => bind(mount.source, mount.target, mount.readOnly));
  return spec.workspace === undefined ? all : [bind(spec.workspace, CONTAINER_WORKSPACE, false), ...all];
}

function bind(source: string, target: string, readOnly: boolean): MountSettings {
  return { Type: "bind", Source: source, Target: target, ReadOnly: readOnly };
}

/** Whether the engine needs a GPU driver for a workload. */
export function asksForGpus(spec: WorkloadSpec): spec is WorkloadSpec & Required<Pick<WorkloadSpec, "gpus">> {
  return spec.gpus !== undefined && spec.gpus.length > 0;
}
