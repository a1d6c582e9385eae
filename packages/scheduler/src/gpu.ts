import type { GpuDevice, GpuRequest } from "@kedge/proto";

/** One device and what is claimed of it. Whole-device claims take all of it. */
export interface DeviceState {
  readonly device: GpuDevice;
  usedMilli: number;
  usedMemoryMib: number;
}

/** What one reservation holds of one device. */
export interface DeviceClaim {
  readonly index: number;
  readonly shareMilli: number;
  readonly memoryMib: number;
}

/** The GPU dimension that is short on a node. */
export interface GpuShortage {
  readonly subject: "gpu.count" | "gpu.model" | "gpu.memory_mib" | "gpu.share_milli";
  readonly wanted: number;
  readonly free: number;
  readonly total: number;
}

const WHOLE_MILLI = 1000;

/** Tells whether a request claims any part of any device. */
export function wantsGpu(request: GpuRequest | undefined): request is GpuRequest {
  return request !== undefined && (request.count > 0 || request.shareMilli > 0 || request.memoryMib > 0);
}

/**
 * The devices a request gets, first fit by index: `count` wholly free ones, or one with enough share and memory left.
 * Undefined when they are short.
 */
export function pickDevices(devices: readonly DeviceState[], request: GpuRequest): DeviceClaim[] | undefined {
  const wanted = Math.max(1, request.count);
  const claims: DeviceClaim[] = [];
  for (const state of devices) {
    if (!isSuitable(state.device, request) || !isFreeFor(state, request)) continue;
    claims.push(claimOf(state.device, request));
    if (claims.length === wanted) return claims;
  }
  return undefined;
}

/** The claim a request makes on a device, whether or not there is room. */
export function claimOf(device: GpuDevice, request: GpuRequest): DeviceClaim {
  return request.count > 0
    ? { index: device.index, shareMilli: WHOLE_MILLI, memoryMib: device.memoryMib }
    : { index: device.index, shareMilli: request.shareMilli, memoryMib: request.memoryMib };
}

/** Adds (`sign` 1) or takes back (−1) claims, in place. Claims on devices that are gone are left out. */
export function applyClaims(devices: readonly DeviceState[], claims: readonly DeviceClaim[], sign: 1 | -1): void {
  for (const claim of claims) {
    const state = devices.find((candidate) => candidate.device.index === claim.index);
    if (state === undefined) continue;
    state.usedMilli += sign * claim.shareMilli;
    state.usedMemoryMib += sign * claim.memoryMib;
  }
}

/** Which GPU dimension keeps a request off a node, the most basic one first; undefined when it fits. */
export function gpuShortage(devices: readonly DeviceState[], request: GpuRequest): GpuShortage | undefined {
  if (pickDevices(devices, request) !== undefined) return undefined;
  const count = Math.max(1, request.count);
  const ofModel = devices.filter((state) => request.model === "" || state.device.model === request.model);
  if (ofModel.length < count) {
    const subject = request.model === "" ? "gpu.count" : "gpu.model";
    return { subject, wanted: count, free: freeCount(ofModel), total: ofModel.length };
  }
  const suitable = ofModel.filter((state) => isSuitable(state.device, request));
  if (suitable.length < count) {
    const best = nthLargest(
      ofModel.map((state) => state.device.memoryMib),
      count,
    );
    return { subject: "gpu.memory_mib", wanted: request.memoryMib, free: best, total: best };
  }
  return request.count > 0
    ? { subject: "gpu.count", wanted: count, free: freeCount(suitable), total: suitable.length }
    : shareShortage(suitable, request);
}

/** The free part of all devices, 0 to 1; 0 without devices. */
export function freeGpuShare(devices: readonly DeviceState[]): number {
  if (devices.length === 0) return 0;
  const used = devices.reduce((sum, state) => sum + Math.min(WHOLE_MILLI, state.usedMilli), 0);
  return 1 - used / (WHOLE_MILLI * devices.length);
}

function shareShortage(suitable: readonly DeviceState[], request: GpuRequest): GpuShortage {
  const withShare = suitable.filter((state) => WHOLE_MILLI - state.usedMilli >= request.shareMilli);
  if (withShare.length === 0) {
    const free = Math.max(...suitable.map((state) => WHOLE_MILLI - state.usedMilli));
    return { subject: "gpu.share_milli", wanted: request.shareMilli, free, total: WHOLE_MILLI };
  }
  const free = Math.max(...withShare.map((state) => state.device.memoryMib - state.usedMemoryMib));
  const total = Math.max(...suitable.map((state) => state.device.memoryMib));
  return { subject: "gpu.memory_mib", wanted: request.memoryMib, free, total };
}

function isSuitable(device: GpuDevice, request: GpuRequest): boolean {
  return (request.model === "" || device.model === request.model) && device.memoryMib >= request.memoryMib;
}

function isFreeFor(state: DeviceState, request: GpuRequest): boolean {
  if (request.count > 0) return isUntouched(state);
  return (
    state.usedMilli + request.shareMilli <= WHOLE_MILLI &&
    state.usedMemoryMib + request.memoryMib <= state.device.memoryMib
  );
}

const isUntouched = (state: DeviceState): boolean => state.usedMilli === 0 && state.usedMemoryMib === 0;

const freeCount = (devices: readonly DeviceState[]): number => devices.filter(isUntouched).length;

function nthLargest(values: readonly number[], n: number): number {
  return [...values].sort((a, b) => b - a)[n - 1] ?? 0;
}
