import { KedgeError } from "@kedge/domain";

/** Everything a judge remembers. */
export interface JudgeMemory {
  baselineRequests: number;
  baselineErrors: number;
  canaryRequests: number;
  canaryErrors: number;
  /** Canary's requests weighted share so far: sum of weight × requests, for the forecast. */
  weightedRequests: number;
  /** Highest log evidence against the canary so far. */
  peakLog: number;
  worseLogs: Float64Array;
  betterLogs: Float64Array;
}

const VERSION = 1;
const SCALARS = [
  "baselineRequests",
  "baselineErrors",
  "canaryRequests",
  "canaryErrors",
  "weightedRequests",
  "peakLog",
] as const;

/** A memory as bytes: version, lengths of both lists, then 64-bit floats, big-endian. */
export function encodeMemory(memory: JudgeMemory): Uint8Array {
  const { worseLogs, betterLogs } = memory;
  const values = [...SCALARS.map((name) => memory[name]), ...worseLogs, ...betterLogs];
  const view = new DataView(new ArrayBuffer(3 + 8 * values.length));
  view.setUint8(0, VERSION);
  view.setUint8(1, worseLogs.length);
  view.setUint8(2, betterLogs.length);
  for (const [i, value] of values.entries()) view.setFloat64(3 + 8 * i, value);
  return new Uint8Array(view.buffer);
}

/**
 * A memory from `encodeMemory`'s bytes.
 *
 * @throws KedgeError INVALID_FIELD when they are not such bytes, or were written with other ratios.
 */
export function decodeMemory(bytes: Uint8Array, worseCount: number, betterCount: number): JudgeMemory {
  const count = SCALARS.length + worseCount + betterCount;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const known = bytes.length === 3 + 8 * count && view.getUint8(0) === VERSION;
  if (!known || view.getUint8(1) !== worseCount || view.getUint8(2) !== betterCount) {
    throw new KedgeError("INVALID_FIELD", `judge state of ${bytes.length} bytes is not one this judge wrote`, {
      field: "judge_state",
    });
  }
  const values = Float64Array.from({ length: count }, (_, i) => view.getFloat64(3 + 8 * i));
  const scalar = (name: (typeof SCALARS)[number]): number => values[SCALARS.indexOf(name)] ?? 0;
  return {
    baselineRequests: scalar("baselineRequests"),
    baselineErrors: scalar("baselineErrors"),
    canaryRequests: scalar("canaryRequests"),
    canaryErrors: scalar("canaryErrors"),
    weightedRequests: scalar("weightedRequests"),
    peakLog: scalar("peakLog"),
    worseLogs: values.slice(SCALARS.length, SCALARS.length + worseCount),
    betterLogs: values.slice(SCALARS.length + worseCount),
  };
}

/** The memory of a judge that has seen nothing. */
export function emptyMemory(worseCount: number, betterCount: number): JudgeMemory {
  return {
    baselineRequests: 0,
    baselineErrors: 0,
    canaryRequests: 0,
    canaryErrors: 0,
    weightedRequests: 0,
    peakLog: 0,
    worseLogs: new Float64Array(worseCount),
    betterLogs: new Float64Array(betterCount),
  };
}
