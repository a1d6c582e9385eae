export type { ContainerAccess } from "./container-access.ts";
export { connectDocker, type DockerClient, type EngineInfo, probeDocker } from "./docker/connect.ts";
export { createContainerAccess } from "./docker/docker-access.ts";
export { createImageStore, type ImageStoreOptions } from "./docker/docker-images.ts";
export { createNetworks } from "./docker/docker-networks.ts";
export type { DockerRuntimeOptions } from "./docker/docker-options.ts";
export { createDockerRuntime } from "./docker/docker-runtime.ts";
export { listImages, type StoredImage } from "./docker/list-images.ts";
export { type DockerParts, engineVersion, type OpenDockerOptions, openDocker } from "./docker/open-docker.ts";
export { buildHostBaseImage, type HostBaseImageOptions } from "./host-base-image.ts";
export type { BuildOptions, BuildResult, ImageStore, TransferOptions } from "./image-store.ts";
export type { Networks } from "./networks.ts";
export { createProcessRuntime, type ProcessRuntimeOptions } from "./process/process-runtime.ts";
export { readDockerConfig } from "./registry/docker-config.ts";
export type { PlatformImage } from "./registry/image-index.ts";
export type { RegistryLogin, RegistryLogins } from "./registry/registry-logins.ts";
export type {
  Exit,
  LogChunk,
  LogOffset,
  LogOptions,
  Mount,
  Runtime,
  Workload,
  WorkloadLimits,
  WorkloadSpec,
} from "./runtime.ts";
