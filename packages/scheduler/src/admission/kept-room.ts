import { create } from "@bufbuild/protobuf";
import { requestAmounts } from "@kedge/domain";
import { type GpuRequest, type ResourceRequest, ResourceRequestSchema } from "@kedge/proto";
import { type DeviceState, WHOLE_MILLI, wantsGpu } from "../gpu.ts";
import type { NodeEntry } from "../node-entry.ts";
import type { Hold, Kept, KeptDevice } from "./hold.ts";

/** What is free on a node at one time. */
export interface NodeRoom {
  readonly free: Readonly<Record<string, number>>;
  readonly devices: readonly DeviceState[];
}

/** The room on a node as it is; a copy. */
export function roomOn({ total, used, devices }: NodeEntry): NodeRoom {
  const free: Record<string, number> = {};
  for (const dimension in total) free[dimension] = (total[dimension] ?? 0) - (used[dimension] ?? 0);
  return { free, devices: devices.map((state) => ({ ...state })) };
}

/**
 * What of the room that is free now a demand needs beyond what ends by the time it fits: asked − (free then − free now),
 * dimension by dimension, less what earlier holds on the node keep already.
 */
export function keptRoom(resources: ResourceRequest | undefined, times: HoldTimes): Kept {
  const { before, after, earlier } = times;
  const amounts: Record<string, number> = {};
  for (const [dimension, asked] of Object.entries(requestAmounts(resources))) {
    const ending = (after.free[dimension] ?? 0) - (before.free[dimension] ?? 0);
    const keptBefore = earlier.reduce((sum, hold) => sum + (hold.kept.amounts[dimension] ?? 0), 0);
    const amount = Math.max(0, asked - ending - keptBefore);
    if (amount > 0) amounts[dimension] = amount;
  }
  const gpu = resources?.gpu;
  return { amounts, devices: wantsGpu(gpu) ? keptDevices(gpu, times) : [] };
}

/** The node now and when the demand fits, both without holds' kept room; and who gets room there before. */
export interface HoldTimes {
  readonly before: NodeRoom;
  readonly after: NodeRoom;
  readonly earlier: readonly Hold[];
  /** Devices the demand gets after. */
  readonly gpuIndices: readonly number[];
}

function keptDevices(gpu: GpuRequest, times: HoldTimes): KeptDevice[] {
  return gpu.count > 0 ? wholeDevices(gpu, times) : partOfDevice(gpu, times);
}

/** As many of its devices as will not have become free by after. */
function wholeDevices(gpu: GpuRequest, { before, after, earlier, gpuIndices }: HoldTimes): KeptDevice[] {
  const isFreeNow = (index: number): boolean =>
    isUntouched(before.devices.find((state) => state.device.index === index));
  const ending = after.devices.filter(
    (state) =>
      isUntouched(state) &&
      !isFreeNow(state.device.index) &&
      (gpu.model === "" || state.device.model === gpu.model) &&
      state.device.memoryMib >= gpu.memoryMib,
  );
  const isKept = (index: number): boolean =>
    earlier.some(({ kept }) => kept.devices.some((part) => part.index === index));
  const missing = Math.max(0, gpu.count - ending.length);
  return gpuIndices
    .filter((index) => isFreeNow(index) && !isKept(index))
    .slice(0, missing)
    .map((index) => ({ index, shareMilli: WHOLE_MILLI, memoryMib: memoryOf(before, index) }));
}

function partOfDevice(gpu: GpuRequest, { before, after, earlier, gpuIndices }: HoldTimes): KeptDevice[] {
  const [index] = gpuIndices;
  const isIt = (state: DeviceState): boolean => state.device.index === index;
  const [present, later] = [before.devices.find(isIt), after.devices.find(isIt)];
  if (index === undefined || present === undefined || later === undefined) return [];
  let shareMilli = gpu.shareMilli - (present.usedMilli - later.usedMilli);
  let memoryMib = gpu.memoryMib - (present.usedMemoryMib - later.usedMemoryMib);
  for (const part of earlier.flatMap(({ kept }) => kept.devices)) {
    if (part.index !== index) continue;
    shareMilli -= part.shareMilli;
    memoryMib -= part.memoryMib;
  }
  if (shareMilli <= 0 && memoryMib <= 0) return [];
  return [{ index, shareMilli: Math.max(0, shareMilli), memoryMib: Math.max(0, memoryMib) }];
}

const isUntouched = (state: DeviceState | undefined): boolean => state?.usedMilli === 0 && state.usedMemoryMib === 0;

const memoryOf = ({ devices }: NodeRoom, index: number): number =>
  devices.find((state) => state.device.index === index)?.device.memoryMib ?? 0;

/** A kept part as a request that claims just that. */
export function keptRequest({ amounts, devices }: Kept): ResourceRequest {
  const custom: Record<string, number> = {};
  for (const dimension in amounts) {
    if (dimension.startsWith(CUSTOM)) custom[dimension.slice(CUSTOM.length)] = amounts[dimension] ?? 0;
  }
  return create(ResourceRequestSchema, {
    cpuMilli: amounts["cpu_milli"] ?? 0,
    memoryMib: amounts["memory_mib"] ?? 0,
    diskMib: amounts["disk_mib"] ?? 0,
    custom,
    ...gpuRequest(devices),
  });
}

const CUSTOM = "custom.";

function gpuRequest(devices: readonly KeptDevice[]): {
  readonly gpu?: { count?: number; shareMilli?: number; memoryMib?: number };
} {
  const [first] = devices;
  if (first === undefined) return {};
  if (first.shareMilli === WHOLE_MILLI) return { gpu: { count: devices.length } };
  return { gpu: { shareMilli: first.shareMilli, memoryMib: first.memoryMib } };
}
