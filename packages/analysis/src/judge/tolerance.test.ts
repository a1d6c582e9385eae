import { expect, test } from "vitest";
import type { SampleHistogram, Samples } from "../evidence/sample-table.ts";
import { sampleTable } from "../evidence/sample-table.ts";
import { createJudge } from "./judge.ts";
import type { JudgeOptions, JudgeVerdict } from "./judge-types.ts";
import { allowanceOf } from "./tolerance.ts";

/** Those of gateways: 24 a decade. */
const BOUNDS = Array.from({ length: 139 }, (_, i) => Number((0.1 * 10 ** (i / 24)).toPrecision(6)));
const TOLERANT: JudgeOptions = { latency: { tolerance: { part: 0.1, floor: 2 } } };

function histogram(values: readonly number[]): SampleHistogram {
  const counts = new Array<number>(BOUNDS.length + 1).fill(0);
  for (const value of values) {
    const at = BOUNDS.findIndex((bound) => value <= bound);
    counts[at < 0 ? BOUNDS.length : at] = (counts[at < 0 ? BOUNDS.length : at] ?? 0) + 1;
  }
  return { bounds: BOUNDS, counts };
}

/** Reproducible log-normal latencies (Box and Muller, over a linear congruential generator). */
function latencies(seed: number): (middle: number) => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return (middle) => middle * Math.exp(0.5 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

interface Trial {
  readonly options: JudgeOptions;
  readonly seed: number;
  readonly baseline: number;
  /** Median of the canary's after so many of its answers. */
  canary(answered: number): number;
  readonly windows: number;
  samples(values: readonly number[]): Samples;
}

/** What a judge says in the end of windows of 40 answers, a quarter the canary's. */
function outcome({ options, seed, baseline, canary, windows, samples }: Trial): JudgeVerdict {
  const judge = createJudge(options);
  const draw = latencies(seed);
  for (let i = 0; i < windows; i++) {
    const theirs = Array.from({ length: 30 }, () => draw(baseline));
    const ours = Array.from({ length: 10 }, (_, k) => draw(canary(10 * i + k)));
    judge.observe({
      ...{ seconds: 0.2, weight: 0.25 },
      baseline: { requests: 30, errors: 0, latencyMs: samples(theirs) },
      canary: { requests: 10, errors: 0, latencyMs: samples(ours) },
    });
  }
  return judge.verdict();
}

const FORMS: readonly [string, (values: readonly number[]) => Samples][] = [
  ["raw", (values) => values],
  ["histogram", histogram],
];

test.each(FORMS)(
  "a process not yet warm, 3.2 ms for 1,000 answers against 2.4 ms, is not rolled back: %s",
  (_, samples) => {
    const cold = { baseline: 2.4, canary: (answered: number) => (answered < 1000 ? 3.2 : 2.4), windows: 160, samples };
    for (let seed = 1; seed <= 5; seed++) {
      expect(outcome({ ...cold, seed, options: TOLERANT }).verdict).not.toBe("rollback");
      expect(outcome({ ...cold, seed, options: {} }).verdict).toBe("rollback");
    }
  },
);

test.each(FORMS)("slower by more than is tolerated is rolled back, by less never: %s", (_, samples) => {
  const slower = (factor: number, seed: number): string =>
    outcome({ options: TOLERANT, seed, baseline: 40, canary: () => 40 * factor, windows: 150, samples }).verdict;
  for (let seed = 1; seed <= 4; seed++) {
    expect(slower(1.5, seed)).toBe("rollback");
    expect(slower(1.05, seed)).not.toBe("rollback");
  }
});

test("a canary that is slower within the tolerance passes when the margin is as wide", () => {
  const options = { ...TOLERANT, margin: 0.1 };
  const verdict = outcome({ options, seed: 3, baseline: 2.4, canary: () => 3, windows: 900, samples: histogram });
  expect(verdict.verdict).toBe("pass");
});

test("a start ten times slower is not judged while it settles, and is without", () => {
  const start = { baseline: 40, canary: (answered: number) => (answered < 40 ? 400 : 40), windows: 100, seed: 2 };
  const settled = { latency: { settle: 40 } };
  expect(outcome({ ...start, samples: (v) => v, options: settled }).verdict).not.toBe("rollback");
  expect(outcome({ ...start, samples: (v) => v, options: {} }).verdict).toBe("rollback");
});

test("a tenth is one bucket of a gateway's histogram, on the side that favours the canary", () => {
  const at = (i: number): SampleHistogram => ({
    bounds: BOUNDS,
    counts: [...BOUNDS, 0].map((_, k) => (k === i ? 1 : 0)),
  });
  const allowance = allowanceOf({ part: 0.1, floor: 0 }, "higher");
  for (let i = 1; i < BOUNDS.length; i++) {
    const table = sampleTable(at(i), at(i), allowance);
    expect(table?.values).toEqual([BOUNDS[i - 1], BOUNDS[i]]);
    expect(table?.canary).toEqual([1, 0]);
    const pass = sampleTable(at(i), at(i), allowance && { ...allowance, end: "upper" });
    expect(pass?.values).toEqual([BOUNDS[i - 1], BOUNDS[i]]);
  }
});

test("where lower is worse, lower is tolerated", () => {
  const allowance = allowanceOf({ part: 0.25, floor: 0 }, "lower");
  expect(sampleTable([100], [80], allowance)).toEqual({ values: [100], baseline: [1], canary: [1] });
  expect(allowanceOf({ part: 0, floor: 0 }, "lower")).toBeUndefined();
});

test("a state of another tolerance is refused", () => {
  const state = createJudge(TOLERANT).state();
  expect(createJudge({ ...TOLERANT, state }).verdict().verdict).toBe("continue");
  for (const latency of [{}, { tolerance: { part: 0.2, floor: 2 } }, { ...TOLERANT.latency, settle: 9 }]) {
    expect(() => createJudge({ latency, state })).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
  }
});

test.each<JudgeOptions>([
  { latency: { tolerance: { part: -0.1, floor: 0 } } },
  { latency: { tolerance: { part: 0, floor: Number.NaN } } },
  { latency: { settle: -1 } },
  { metrics: [{ kind: "distribution", name: "size", worse: "different", tolerance: { part: 0.1, floor: 0 } }] },
])("a tolerance that cannot be is rejected: %j", (options) => {
  expect(() => createJudge(options)).toThrow(expect.objectContaining({ reason: "INVALID_OPTION" }));
});
