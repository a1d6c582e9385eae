import type { GpuDevice, GpuRequest } from "@kedge/proto";

/** Ids of the GPUs that a workload may use, undefined on a node without any; or why it cannot have what was chosen. */
export type GpuHandout = { readonly gpus: readonly string[] | undefined } | { readonly problem: string };

/** What is handed out: the node's devices, what the workload asks for, and which of them the controller chose. */
export interface GpuChoice {
  readonly devices: readonly GpuDevice[];
  readonly request: GpuRequest | undefined;
  readonly indices: readonly number[];
}

/**
 * The devices that the controller chose, by the ids that the driver knows them by in every container and process. A
 * workload that asks for none gets an empty list: it must not see what others hold.
 */
export function handOutGpus({ devices, request, indices }: GpuChoice): GpuHandout {
  const wanted = countOf(request);
  const chosen = [...new Set(indices)];
  if (chosen.length !== wanted) {
    return { problem: `the controller chose ${chosen.length} GPUs for a workload that asks for ${wanted}` };
  }
  const found = chosen.map((index) => devices.find((device) => device.index === index));
  const missing = chosen.find((_, i) => found[i] === undefined);
  if (missing !== undefined) {
    const known = devices.map(({ index }) => index).join(", ") || "none";
    return { problem: `this node has no GPU ${missing}, which the controller chose; it has ${known}` };
  }
  if (devices.length === 0) return { gpus: undefined };
  return { gpus: found.flatMap((device) => (device === undefined ? [] : [device.uuid || String(device.index)])) };
}

/** A part of a device is one device, which others see as well. */
function countOf(request: GpuRequest | undefined): number {
  if (request === undefined) return 0;
  if (request.count > 0) return request.count;
  return request.shareMilli > 0 || request.memoryMib > 0 ? 1 : 0;
}
