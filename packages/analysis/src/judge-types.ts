/** What one arm (revision) saw in one window. */
export interface ArmWindow {
  readonly requests: number;
  readonly errors: number;
}

/** What both arms saw while the traffic split was constant. */
export interface JudgeWindow {
  /** Length, for people; evidence does not depend on it. */
  readonly seconds: number;
  /** Canary's share of traffic in force during the window, 0 to 1. */
  readonly weight: number;
  readonly baseline: ArmWindow;
  readonly canary: ArmWindow;
}

/** What the judge says after a window, of everything it has seen. */
export interface JudgeVerdict {
  /** `rollback` is final; `pass`: shown not to be worse than the margin allows; else `continue`. */
  readonly verdict: "continue" | "pass" | "rollback";
  /** What it was decided on; "errors". */
  readonly metric: string;
  /** The e-value that speaks for the verdict (against the canary unless `pass`); 1/evidence bounds the chance of being wrong. */
  readonly evidence: number;
  /** Canary's error rate over the baseline's; 1 without data, Infinity when only the canary has errors. */
  readonly effect: number;
  /** One readable sentence with numbers. */
  readonly reason: string;
  /** Requests in total that a rollback still needs if the rates seen so far are true; absent when the canary does not look worse. */
  readonly moreRequests?: number;
}

/** Sequential judge of one canary. Stateful; windows are to be given once each, in any order. */
export interface Judge {
  observe(window: JudgeWindow): JudgeVerdict;
  /** The verdict on what was seen so far. */
  verdict(): JudgeVerdict;
  /** Everything needed to go on elsewhere; give it to `createJudge`. */
  state(): Uint8Array;
}

/** How a judge decides. */
export interface JudgeOptions {
  /** Chance of ever rolling back a canary that is not worse; default (and for 0) 0.01. */
  readonly alpha?: number;
  /** From an earlier judge's `state()`; empty: start afresh. Alpha may differ. */
  readonly state?: Uint8Array;
  /** Ratios of error rates that a regression may have, each > 1; default 24 log-spaced in [1.1, 30]. */
  readonly ratios?: readonly number[];
  /** `pass` means: shown that the canary's error rate is below (1 + margin) times the baseline's; default 0.5. */
  readonly margin?: number;
}
