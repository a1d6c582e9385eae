import { create } from "@bufbuild/protobuf";
import { MetricKind, MetricSpecSchema, UserMetricSchema } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { valueProblem } from "../judge/metric-value.ts";
import { metricOptions, toldValue } from "./own-metrics.ts";

const MEAN = { name: "score", kind: MetricKind.MEAN, lower: 0, upper: 1 };

const anyNumber = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, 1e300, -1e300, Infinity, -1, 0, 1));
const count = fc.nat({ max: 2 ** 32 - 1 });

test("only values that the judge can take come of what a node tells", () => {
  const value = fc.oneof(
    fc
      .record({ bounds: fc.array(anyNumber), counts: fc.array(count), values: fc.array(anyNumber) })
      .map((samples) => ({ case: "samples" as const, value: samples })),
    fc
      .record({ count, sum: anyNumber, sumSquares: anyNumber })
      .map((moments) => ({ case: "moments" as const, value: moments })),
    fc.record({ events: count, requests: count }).map((counted) => ({ case: "count" as const, value: counted })),
  );
  const kinds = fc.constantFrom(MetricKind.SAMPLES, MetricKind.MEAN, MetricKind.COUNT);
  fc.assert(
    fc.property(kinds, value, (kind, told) => {
      const spec = create(MetricSpecSchema, { ...MEAN, kind });
      const taken = toldValue(spec, create(UserMetricSchema, { name: "score", value: told }));
      const options = metricOptions(spec, 0.1);
      if (taken !== undefined && options !== undefined) expect(valueProblem(options, taken)).toBeUndefined();
    }),
    { numRuns: 2_000 },
  );
});

test("an amount is no count of events", () => {
  const spec = create(MetricSpecSchema, { name: "tokens", kind: MetricKind.COUNT });
  const told = (events: number) =>
    toldValue(spec, create(UserMetricSchema, { value: { case: "count", value: { events, requests: 100 } } }));
  expect(told(30)).toEqual({ events: 30, exposure: 100 });
  expect(told(30_000)).toBeUndefined();
});
