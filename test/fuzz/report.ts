/** What a worker is to do. */
export interface FuzzOrder {
  /** For texts by chance, and again for growing ones, of each target. */
  readonly secondsEach: number;
  readonly seed: number;
  /** Written by the worker: the target's index; the number of the text by chance, or -1 less that of the growing one. */
  readonly progress: Int32Array<SharedArrayBuffer>;
}

/** A text that was not read as it must be. */
export interface FuzzFinding {
  readonly what: string;
  readonly text: string;
}

/** The worst of what grows. */
export interface WorstGrowth {
  readonly shape: string;
  readonly bytes: number;
  readonly ms: number;
}

/** What became of a target. */
export interface FuzzReport {
  readonly target: string;
  /** By chance. */
  readonly executions: number;
  /** Of those texts, UTF-16 code units. */
  readonly bytes: number;
  readonly worstNsPerByte: number;
  /** How many of the ways to grow were tried. */
  readonly grown: number;
  readonly ways: number;
  readonly worstGrowth: WorstGrowth;
  readonly findings: readonly FuzzFinding[];
}
