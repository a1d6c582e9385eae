import { create } from "@bufbuild/protobuf";
import { MetricKind, MetricProblem, MetricSpecSchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DeploymentMetrics } from "./deployment-metrics.ts";

const score = create(MetricSpecSchema, { name: "score", kind: MetricKind.MEAN, lower: 0, upper: 1 });
const spread = create(MetricSpecSchema, { name: "score", kind: MetricKind.SAMPLES });
const calls = create(MetricSpecSchema, { name: "calls", kind: MetricKind.COUNT });

const replica = (text: string | undefined, more: { id?: string; revision?: number; run?: number } = {}) => {
  const { id = "r1", revision = 1, run = 0 } = more;
  return { replicaId: id, revision, run, text };
};

/** A histogram with a bound at 0.5 and one at 1. */
const histogram = (low: number, high: number, sum: number) =>
  `# TYPE score histogram
score_bucket{le="0.5"} ${low}
score_bucket{le="1"} ${low + high}
score_bucket{le="+Inf"} ${low + high}
score_sum ${sum}
score_count ${low + high}
`;

describe("users' metrics of a deployment", () => {
  it("tells growth by revision, never what was there at first", () => {
    const metrics = new DeploymentMetrics([score]);
    metrics.addScrape([replica(histogram(100, 100, 120))]);
    expect(metrics.take(1)).toMatchObject([{ name: "score", value: { case: undefined } }]);
    metrics.addScrape([replica(histogram(101, 103, 123)), replica(histogram(9, 9, 9), { id: "r2", revision: 2 })]);
    expect(metrics.take(1)).toMatchObject([{ value: { case: "moments", value: { count: 4, sum: 3 } } }]);
    expect(metrics.take(1)).toMatchObject([{ value: { case: undefined }, problem: MetricProblem.UNSPECIFIED }]);
    metrics.addScrape([replica(histogram(101, 103, 123)), replica(histogram(9, 10, 9.75), { id: "r2", revision: 2 })]);
    expect(metrics.take(1)).toMatchObject([{ value: { case: "moments", value: { count: 0 } } }]);
    expect(metrics.take(2)).toMatchObject([{ value: { case: "moments", value: { count: 1, sum: 0.75 } } }]);
  });

  it("counts a metric that was not there before from nothing, and one that fell from nothing", () => {
    const metrics = new DeploymentMetrics([score]);
    metrics.addScrape([replica("up 1\n")]);
    expect(metrics.take(1)).toMatchObject([{ problem: MetricProblem.ABSENT }]);
    metrics.addScrape([replica(histogram(0, 2, 1.5))]);
    metrics.addScrape([replica(histogram(1, 0, 0.25))]);
    expect(metrics.take(1)).toMatchObject([{ value: { value: { count: 3, sum: 1.75 } }, problem: 0 }]);
  });

  it("begins anew with a replica's next run, and when traffic changes", () => {
    const metrics = new DeploymentMetrics([score]);
    metrics.addScrape([replica(histogram(10, 10, 10))]);
    metrics.addScrape([replica(histogram(50, 50, 50), { run: 1 })]);
    metrics.restart();
    metrics.addScrape([replica(histogram(60, 60, 60), { run: 1 })]);
    expect(metrics.take(1)).toMatchObject([{ value: { case: undefined } }]);
  });

  it("clips means, and adds samples of replicas", () => {
    const metrics = new DeploymentMetrics([score, spread]);
    const both = (low: number, high: number, sum: number) => [
      replica(histogram(low, high, sum)),
      replica(histogram(low, high, sum), { id: "r2" }),
    ];
    metrics.addScrape(both(0, 0, 0));
    metrics.addScrape(both(1, 3, 1000));
    const [mean, samples] = metrics.take(1);
    expect(mean?.value.value).toMatchObject({ count: 8, sum: 8, sumSquares: 8 });
    expect(samples?.value.value).toMatchObject({ bounds: [0.5, 1], counts: [2, 6, 0], values: [] });
  });

  it("tells squares that are not too small, and not much too large where bounds are close", () => {
    const bounds = Array.from({ length: 50 }, (_, i) => (i + 1) / 50);
    const tell = (values: readonly number[]) => {
      const atMost = (bound: number) => values.filter((value) => value <= bound).length;
      const buckets = bounds.map((bound) => `score_bucket{le="${bound}"} ${atMost(bound)}`);
      const ends = [`score_bucket{le="+Inf"} ${values.length}`, `score_count ${values.length}`];
      return [...buckets, ...ends, `score_sum ${values.reduce((sum, value) => sum + value, 0)}`].join("\n");
    };
    const values = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(values, (seen) => {
        const metrics = new DeploymentMetrics([score]);
        metrics.addScrape([replica(tell([]))]);
        metrics.addScrape([replica(tell(seen))]);
        const value = metrics.take(1)[0]?.value;
        const told = value?.case === "moments" ? value.value.sumSquares : Number.NaN;
        const squares = seen.reduce((sum, each) => sum + each * each, 0);
        expect(told).toBeGreaterThanOrEqual(squares - 1e-9);
        expect(told).toBeLessThanOrEqual(squares + 0.03 * seen.length);
      }),
    );
  });

  it("takes one value a scrape of a gauge", () => {
    const metrics = new DeploymentMetrics([score, spread]);
    for (const value of ["0.5", "0.75", "3"]) metrics.addScrape([replica(`# TYPE score gauge\nscore ${value}\n`)]);
    expect(metrics.take(1)).toMatchObject([
      { value: { case: "moments", value: { count: 3, sum: 2.25 } } },
      { value: { case: "samples", value: { values: [0.5, 0.75, 3] } } },
    ]);
  });

  it("sets a counter's growth against the requests of the same time, for all replicas or none", () => {
    const metrics = new DeploymentMetrics([calls]);
    const scrape = (a: number, b: number | undefined) => {
      const second = b === undefined ? undefined : `calls ${b}\n`;
      metrics.addScrape([replica(`calls ${a}\n`), replica(second, { id: "r2" })]);
    };
    scrape(0, 0);
    metrics.addRequests(1, 50);
    scrape(3, 4);
    metrics.addRequests(1, 70);
    scrape(5, undefined);
    metrics.addRequests(1, 90);
    scrape(6, 9);
    expect(metrics.take(1)).toMatchObject([{ value: { case: "count", value: { events: 15, requests: 210 } } }]);
    metrics.addRequests(1, 10);
    metrics.addScrape([replica("calls 7\n"), replica("calls 0\n", { id: "r2", run: 1 })]);
    expect(metrics.take(1)).toMatchObject([{ value: { case: undefined } }]);
  });

  it.each([
    ["a negative count", histogram(-5, 0, 0)],
    ["no finite sum", histogram(1, 1, Number.NaN)],
    ["a huge count", histogram(1e300, 1, 1)],
    ["buckets that fall", histogram(9, -8, 1)],
    ["parts of values", histogram(0.5, 0, 1)],
  ])("refuses %s", (_, text) => {
    const metrics = new DeploymentMetrics([score]);
    metrics.addScrape([replica(histogram(0, 0, 0))]);
    metrics.addScrape([replica(text)]);
    expect(metrics.take(1)).toMatchObject([{ value: { case: undefined }, problem: MetricProblem.IMPOSSIBLE }]);
  });

  it("says what is wrong with a type, and that a replica does not answer", () => {
    const metrics = new DeploymentMetrics([score, calls]);
    metrics.addScrape([replica("# TYPE score counter\nscore 1\n# TYPE calls gauge\ncalls 1\n")]);
    expect(metrics.take(1)).toMatchObject([
      { problem: MetricProblem.WRONG_TYPE },
      { problem: MetricProblem.WRONG_TYPE },
    ]);
    metrics.addScrape([replica(undefined)]);
    expect(metrics.take(1)).toMatchObject([
      { problem: MetricProblem.UNREADABLE },
      { problem: MetricProblem.UNREADABLE },
    ]);
  });

  it("tells only figures that can be, whatever replicas say", () => {
    const figure = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, 1e300, -1e300, Infinity, -1));
    const text = fc.tuple(figure, figure, figure).map(([low, high, sum]) => histogram(low, high, sum));
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), (texts) => {
        const metrics = new DeploymentMetrics([score, spread, calls]);
        for (const each of texts) metrics.addScrape([replica(each.replaceAll("Infinity", "+Inf"))]);
        for (const { value } of metrics.take(1)) {
          if (value.case === "moments") {
            const { count, sum, sumSquares } = value.value;
            expect(count >= 0 && sum >= 0 && sum <= count + 1e-6 && sumSquares >= 0 && sumSquares <= count + 1e-6).toBe(
              true,
            );
          }
          if (value.case === "samples")
            expect(value.value.counts.every((count) => Number.isInteger(count) && count >= 0)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
