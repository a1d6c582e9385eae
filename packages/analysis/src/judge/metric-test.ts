import type { Interval } from "../evidence/ratio-curve.ts";
import type { JudgeWindow } from "./judge-types.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/** What a stratum holds for one metric. */
export interface Reading {
  /** Whether its unlabelled data could tell the arms apart at all. */
  readonly isInformative: boolean;
  /** Takes it into the evidence; once. `logCap`: logarithm of the metric's e-value at which the judge rolls back. */
  add(logCap: number): void;
}

/** What one metric has shown so far. */
export interface Finding {
  readonly effect: number;
  readonly interval: Interval;
  /** The numbers, as part of a sentence. */
  readonly text: string;
}

/** The test of one metric: an e-process against "not worse", one for "not worse than allowed", and the effect. */
export interface MetricTest {
  readonly name: string;
  /** Whether an arm's window has a value of it. */
  isPresent(window: JudgeWindow, arm: "baseline" | "canary"): boolean;
  /** What a stratum, windows of the same weight merged, says; undefined when it has no such metric. */
  read(stratum: JudgeWindow): Reading | undefined;
  /** Natural logarithm of the e-value against "the canary is not worse"; 0 before any data. */
  readonly logWorse: number;
  /** Natural logarithm of the evidence that the canary is not worse than allowed; undefined when it need not be shown. */
  logAcceptable(alpha: number): number | undefined;
  finding(alpha: number): Finding;
  save(out: StateWriter): void;
  /** Goes on from what `save` wrote. */
  load(from: StateReader): void;
}
