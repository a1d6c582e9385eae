import type { WaitingJob } from "./admission-types.ts";

/** Room that a waiting job gets: after the end of what runs there now, or of what was told to end for it. */
export interface Hold {
  /** The key it is reserved under in the cluster. */
  readonly key: string;
  readonly job: WaitingJob;
  readonly nodeId: string;
  readonly kind: HoldKind;
  /** When the job fits at the latest. */
  readonly atMs: number;
  /** Devices it gets then. */
  readonly gpuIndices: readonly number[];
  /** What of the room must be kept free until then; the rest is what ends by then anyway. */
  readonly kept: Kept;
}

/** Why room is held: the job waits for long, or others were told to end for it. */
export type HoldKind = "backfill" | "preemption";

/** A part of a node. */
export interface Kept {
  readonly amounts: Readonly<Record<string, number>>;
  readonly devices: readonly KeptDevice[];
}

/** A part of a device, in thousandths and MiB. */
export interface KeptDevice {
  readonly index: number;
  readonly shareMilli: number;
  readonly memoryMib: number;
}

/** The key of a job's hold; names of tasks and replicas hold no colon. */
export const holdKey = (name: string): string => `hold:${name}`;
