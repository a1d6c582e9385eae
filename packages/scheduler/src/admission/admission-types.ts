import type { HeldBack, PlacementExplanation } from "@kedge/proto";
import type { Demand } from "../demand.ts";

/** A job that is ready and waits for room. */
export interface WaitingJob {
  /** The id its next attempt will have; the key it is reserved under when it is placed. */
  readonly key: string;
  /** "<run>/<job>", as people are told of it. */
  readonly name: string;
  /** Its `key` is the same as above. */
  readonly demand: Demand;
  readonly team: string;
  /** -100 to 100. */
  readonly priority: number;
  readonly waitingSinceMs: number;
  /** By when it should have ended. */
  readonly deadlineMs?: number | undefined;
  /** Longest it may run once it started. */
  readonly limitMs: number;
  /** May be ended for a higher priority once it runs. */
  readonly preemptible: boolean;
  readonly gang?: Gang | undefined;
  readonly concurrency?: { readonly group: string; readonly limit: number } | undefined;
}

/** Jobs that start together or not at all. */
export interface Gang {
  /** Unique over all runs. */
  readonly id: string;
  /** Names ("<run>/<job>") of all members that have not ended; those that do not wait yet hold the others back. */
  readonly members: readonly string[];
}

/** A job that holds room: offered or running. */
export interface RunningJob {
  readonly key: string;
  readonly name: string;
  readonly nodeId: string;
  readonly demand: Demand;
  readonly team: string;
  readonly priority: number;
  readonly startedAtMs: number;
  readonly limitMs: number;
  readonly preemptible: boolean;
  readonly concurrencyGroup?: string | undefined;
  /** It has been told to end for "<run>/<job>", or what is no job, already. */
  readonly preemptedBy?: string | undefined;
}

/** What one pass decided. Placed jobs are reserved in the cluster; the caller releases those it cannot store. */
export interface AdmissionPlan {
  readonly placed: readonly Placed[];
  /** Running jobs to end, and for whom. */
  readonly preempted: readonly Preemption[];
  /** Everything that still waits, in order. */
  readonly waiting: readonly StillWaiting[];
}

/** A job that got room. */
export interface Placed {
  readonly job: WaitingJob;
  readonly nodeId: string;
  readonly gpuIndices: readonly number[];
  readonly explanation: PlacementExplanation;
}

/** A running job that has to end for another. */
export interface Preemption {
  readonly key: string;
  readonly nodeId: string;
  /** "<run>/<job>", or what is no job, that gets the room. */
  readonly preemptedBy: string;
  readonly reason: string;
}

/** A job that got none. */
export interface StillWaiting {
  readonly job: WaitingJob;
  /** From 1. */
  readonly position: number;
  /** What it was ranked by within its priority: time of waiting and deadline, times its team's fair-share factor. */
  readonly value: number;
  /** Why, besides room. */
  readonly heldBack?: HeldBack | undefined;
  /** Room held for it, and when it is free at the latest. */
  readonly reserved?: { readonly nodeId: string; readonly atMs: number } | undefined;
}
