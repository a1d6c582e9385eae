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

/** Thousandths in a whole device. */
export const WHOLE_MILLI = 1000;

/** Tells whether a request claims any part of any device. */
export function wantsGpu(request: GpuRequest | undefined): request is GpuRequest {
  return request !== undefined && (request.count > 0 || request.shareMilli > 0 || request.memoryMib > 0);
}

/** Thousandths of devices that a request claims. */
export function claimedMilli(request: GpuRequest): number {
  return request.count > 0 ? request.count * WHOLE_MILLI : request.shareMilli;
}

/**
 * The devices a request gets, ascending by index: `count` wholly free ones, smallest sufficient memory first; or the one
 * that is left fullest, so that others stay whole. Ties: the lower index. Undefined when they are short.
 */
export function pickDevices(devices: readonly DeviceState[], request: GpuRequest): DeviceClaim[] | undefined {
  return request.count > 0 ? pickWhole(devices, request) : pickPart(devices, request);
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
  if (hasDevices(devices, request)) return undefined;
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

/** Thousandths of devices that are not claimed; 0 without devices. */
export function freeGpuMilli(devices: readonly DeviceState[]): number {
  let free = 0;
  for (const state of devices) free += Math.max(0, WHOLE_MILLI - state.usedMilli);
  return free;
}

/** How much of the chosen device a part leaves free, in thousandths; 0 for whole devices and where it does not fit. */
export function leftOnDevice(devices: readonly DeviceState[], request: GpuRequest): number {
  if (request.count > 0) return 0;
  const best = fullestFor(devices, request);
  return best === undefined ? 0 : WHOLE_MILLI - best.usedMilli - request.shareMilli;
}

/** Whether `pickDevices` finds some. */
export function hasDevices(devices: readonly DeviceState[], request: GpuRequest): boolean {
  let missing = Math.max(1, request.count);
  for (const state of devices) {
    if (isSuitable(state.device, request) && isFreeFor(state, request)) missing--;
    if (missing === 0) return true;
  }
  return false;
}

function pickWhole(devices: readonly DeviceState[], request: GpuRequest): DeviceClaim[] | undefined {
  const free = devices.filter((state) => isSuitable(state.device, request) && isUntouched(state));
  if (free.length < request.count) return undefined;
  free.sort((a, b) => a.device.memoryMib - b.device.memoryMib || a.device.index - b.device.index);
  const claims = free.slice(0, request.count).map((state) => claimOf(state.device, request));
  return claims.sort((a, b) => a.index - b.index);
}

function pickPart(devices: readonly DeviceState[], request: GpuRequest): DeviceClaim[] | undefined {
  const best = fullestFor(devices, request);
  return best === undefined ? undefined : [claimOf(best.device, request)];
}

function fullestFor(devices: readonly DeviceState[], request: GpuRequest): DeviceState | undefined {
  let best: DeviceState | undefined;
  for (const state of devices) {
    if (!isSuitable(state.device, request) || !isFreeFor(state, request)) continue;
    if (best === undefined || isFuller(state, best)) best = state;
  }
  return best;
}

function isFuller(a: DeviceState, b: DeviceState): boolean {
  if (a.usedMilli !== b.usedMilli) return a.usedMilli > b.usedMilli;
  const [aFree, bFree] = [a.device.memoryMib - a.usedMemoryMib, b.device.memoryMib - b.usedMemoryMib];
  return aFree !== bFree ? aFree < bFree : a.device.index < b.device.index;
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
