import type { JudgeWindow } from "./judge-types.ts";
import type { MetricTest } from "./metric-test.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/** Windows with traffic that a metric may be absent from before it counts as missing: 2 s of 250 ms. */
const PATIENCE = 8;
const NEVER_SEEN = -1;

/** Notices metrics that stop coming, or never come, although both arms have traffic. */
export class Attendance {
  readonly #tests: readonly MetricTest[];
  /** By metric: windows with traffic since it last came. */
  #absent: number[];

  /** `declared`: names that are expected from the start; others once they came. */
  constructor(tests: readonly MetricTest[], declared: ReadonlySet<string>) {
    this.#tests = tests;
    this.#absent = tests.map(({ name }) => (declared.has(name) ? 0 : NEVER_SEEN));
  }

  observe(window: JudgeWindow): void {
    if (window.baseline.requests === 0 || window.canary.requests === 0) return;
    this.#absent = this.#tests.map((test, i) => {
      if (test.isPresent(window, "baseline") && test.isPresent(window, "canary")) return 0;
      const absent = this.#absent[i] ?? NEVER_SEEN;
      return absent === NEVER_SEEN ? NEVER_SEEN : Math.min(absent + 1, PATIENCE);
    });
  }

  get missing(): readonly string[] {
    return this.#tests.filter((_, i) => this.#absent[i] === PATIENCE).map(({ name }) => name);
  }

  save(out: StateWriter): void {
    out.numbers(this.#absent);
  }

  load(from: StateReader): void {
    this.#absent = [...from.numbers(this.#tests.length)];
  }
}
