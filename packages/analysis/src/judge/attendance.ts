import type { JudgeWindow } from "./judge-types.ts";
import type { MetricTest } from "./metric-test.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/** Windows with traffic that a metric may be absent from before it counts as missing: 2 s of 250 ms. */
const PATIENCE = 8;
/** So long as well, for declared metrics: they may come less often than windows. */
const DECLARED_PATIENCE_SECONDS = 5;
const NEVER_SEEN = -1;

/** Notices metrics that stop coming, or never come, although both arms have traffic. */
export class Attendance {
  readonly #tests: readonly MetricTest[];
  readonly #declared: ReadonlySet<string>;
  /** By metric: windows with traffic since it last came, and their length. */
  #absent: number[];
  #seconds: number[];

  /** `declared`: names that are expected from the start; others once they came. */
  constructor(tests: readonly MetricTest[], declared: ReadonlySet<string>) {
    this.#tests = tests;
    this.#declared = declared;
    this.#absent = tests.map(({ name }) => (declared.has(name) ? 0 : NEVER_SEEN));
    this.#seconds = tests.map(() => 0);
  }

  observe(window: JudgeWindow): void {
    if (window.baseline.requests === 0 || window.canary.requests === 0) return;
    for (const [i, test] of this.#tests.entries()) {
      const absent = this.#absent[i] ?? NEVER_SEEN;
      if (this.#isPresent(window, test)) {
        this.#absent[i] = 0;
        this.#seconds[i] = 0;
      } else if (absent !== NEVER_SEEN) {
        this.#absent[i] = Math.min(absent + 1, PATIENCE);
        this.#seconds[i] = Math.min((this.#seconds[i] ?? 0) + window.seconds, DECLARED_PATIENCE_SECONDS);
      }
    }
  }

  get missing(): readonly string[] {
    return this.#tests.filter((test, i) => this.#isMissing(test, i)).map(({ name }) => name);
  }

  save(out: StateWriter): void {
    out.numbers(this.#absent);
    out.numbers(this.#seconds);
  }

  load(from: StateReader): void {
    this.#absent = [...from.numbers(this.#tests.length)];
    this.#seconds = [...from.numbers(this.#tests.length)];
  }

  /** A declared metric that is told without a value is there: nothing of it happened. */
  #isPresent(window: JudgeWindow, test: MetricTest): boolean {
    return (["baseline", "canary"] as const).every((arm) =>
      this.#declared.has(test.name) ? Object.hasOwn(window[arm].metrics ?? {}, test.name) : test.isPresent(window, arm),
    );
  }

  #isMissing({ name }: MetricTest, index: number): boolean {
    if (this.#absent[index] !== PATIENCE) return false;
    return !this.#declared.has(name) || (this.#seconds[index] ?? 0) >= DECLARED_PATIENCE_SECONDS;
  }
}
