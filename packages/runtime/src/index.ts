export type { BuildOptions, BuildResult, ImageStore, TransferOptions } from "./image-store.ts";
export type { Networks } from "./networks.ts";
export type {
  Exit,
  GpuRequest,
  LogChunk,
  LogOffset,
  LogOptions,
  Mount,
  Runtime,
  Workload,
  WorkloadLimits,
  WorkloadSpec,
} from "./runtime.ts";
