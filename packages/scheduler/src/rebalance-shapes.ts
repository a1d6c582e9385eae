import { requestAmounts } from "@kedge/domain";
import type { GpuRequest, ResourceRequest } from "@kedge/proto";
import { type DeviceState, hasDevices, WHOLE_MILLI, wantsGpu } from "./gpu.ts";

/** A demand that is common in a cluster: what it asks for, and its part of all demands of its kind. */
export interface Shape {
  readonly amounts: readonly (readonly [dimension: string, wanted: number])[];
  readonly gpu: GpuRequest | undefined;
  /** Adds up to 1 over the shapes with GPU, and over those without. */
  readonly weight: number;
}

/** Free room of one node. */
export interface Room {
  readonly free: Readonly<Record<string, number>>;
  readonly devices: readonly DeviceState[];
}

/** The most frequent shapes that make up this part of all demands are typical, but no more than so many of each kind. */
const COVERED = 0.95;
const MAX_SHAPES = 12;

/** The typical shapes among requests, for each kind (with and without GPU) the most frequent first. */
export function typicalShapes(requests: Iterable<ResourceRequest | undefined>): readonly Shape[] {
  const counted = new Map<string, { shape: Omit<Shape, "weight">; count: number }>();
  for (const request of requests) {
    const shape = shapeOf(request);
    if (shape.gpu === undefined && shape.amounts.length === 0) continue;
    const key = JSON.stringify([shape.amounts, gpuKey(shape.gpu)]);
    const known = counted.get(key);
    if (known === undefined) counted.set(key, { shape, count: 1 });
    else known.count++;
  }
  const ranked = [...counted].sort(([a, { count: m }], [b, { count: n }]) => n - m || (a < b ? -1 : 1));
  const kinds = [true, false].map((gpu) => ranked.filter(([, { shape }]) => (shape.gpu !== undefined) === gpu));
  return kinds.flatMap((kind) => mostFrequent(kind.map(([, entry]) => entry)));
}

/** A shape in the words of a pipeline file, e.g. "2 GPUs, 4 CPU, 8192 MiB". */
export function describeShape({ amounts, gpu }: Shape): string {
  const parts = amounts.map(([dimension, wanted]) => {
    if (dimension === "cpu_milli") return `${wanted / 1000} CPU`;
    if (dimension === "memory_mib") return `${wanted} MiB`;
    return dimension === "disk_mib" ? `${wanted} MiB of disk` : `${wanted} ${dimension.replace("custom.", "")}`;
  });
  if (gpu === undefined) return parts.join(", ");
  const devices = gpu.count > 0 ? `${gpu.count} ${gpu.count === 1 ? "GPU" : "GPUs"}` : partOfDevice(gpu);
  return [gpu.model === "" ? devices : `${devices} (${gpu.model})`, ...parts].join(", ");
}

/** Whether a shape fits a room. */
export function holdsShape(room: Room, { amounts, gpu }: Shape): boolean {
  for (const [dimension, wanted] of amounts) if (wanted > (room.free[dimension] ?? 0)) return false;
  return gpu === undefined || hasDevices(room.devices, gpu);
}

/** Free capacity of a room: thousandths of devices where there are any, else of CPU cores; claims beyond it count 0. */
export function freeOf(room: Room): number {
  if (room.devices.length === 0) return Math.max(0, room.free["cpu_milli"] ?? 0);
  return room.devices.reduce((sum, state) => sum + freeMilli(state), 0);
}

/**
 * What the typical demands cannot use of a room's free capacity, in its unit, as expected over `shapes`: all of it when a
 * shape does not fit; else, on devices, what is free on those the shape could not get. Shapes of the other kind are left
 * out: what CPU work cannot use of a GPU is the same wherever things are.
 *
 * Source: F_n(M) of Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
 * Descent", USENIX ATC 2023, section 3.2; without GPUs the same idea over CPU.
 */
export function strandedOf(room: Room, shapes: readonly Shape[]): number {
  const free = freeOf(room);
  if (free === 0) return 0;
  const isGpu = room.devices.length > 0;
  let stranded = 0;
  for (const shape of shapes) {
    if ((shape.gpu !== undefined) !== isGpu) continue;
    if (!holdsShape(room, shape)) stranded += shape.weight * free;
    else if (shape.gpu !== undefined) stranded += shape.weight * unusableMilli(room.devices, shape.gpu);
  }
  return stranded;
}

function unusableMilli(devices: readonly DeviceState[], gpu: GpuRequest): number {
  const one = gpu.count > 1 ? { ...gpu, count: 1 } : gpu;
  return devices.reduce((sum, state) => sum + (hasDevices([state], one) ? 0 : freeMilli(state)), 0);
}

const freeMilli = (state: DeviceState): number => Math.max(0, WHOLE_MILLI - state.usedMilli);

function shapeOf(request: ResourceRequest | undefined): Omit<Shape, "weight"> {
  const amounts = Object.entries(requestAmounts(request)).sort(([a], [b]) => (a < b ? -1 : 1));
  return { amounts, gpu: wantsGpu(request?.gpu) ? request.gpu : undefined };
}

const gpuKey = (gpu: GpuRequest | undefined) => gpu && [gpu.count, gpu.shareMilli, gpu.memoryMib, gpu.model];

const partOfDevice = (gpu: GpuRequest): string =>
  gpu.shareMilli > 0 ? `${gpu.shareMilli / 1000} of a GPU` : `${gpu.memoryMib} MiB of a GPU`;

function mostFrequent(ranked: readonly { shape: Omit<Shape, "weight">; count: number }[]): Shape[] {
  const all = ranked.reduce((sum, { count }) => sum + count, 0);
  let covered = 0;
  const chosen = ranked.slice(0, MAX_SHAPES).filter(({ count }) => {
    const isTypical = covered < COVERED * all;
    covered += count;
    return isTypical;
  });
  const total = chosen.reduce((sum, { count }) => sum + count, 0);
  return chosen.map(({ shape, count }) => ({ ...shape, weight: count / total }));
}
