import fc from "fast-check";
import { Counter, Gauge, Histogram, Registry, Summary } from "prom-client";
import { describe, expect, it } from "vitest";
import { parseExposition } from "./exposition.ts";

describe("exposition", () => {
  it("reads what prom-client writes, in both formats", async () => {
    const openMetrics = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>();
    openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    for (const registry of [new Registry(), openMetrics]) {
      registry.setDefaultLabels({ model: 'a "b" } # c' });
      const registers = [registry];
      new Counter({ name: "calls_total", help: "x", labelNames: ["kind"], registers }).inc({ kind: "a" }, 3);
      const gauge = new Gauge({ name: "queue", help: "x", labelNames: ["kind"], registers });
      gauge.set({ kind: "a" }, 1);
      gauge.set({ kind: "b" }, 2);
      const score = new Histogram({ name: "score", help: "x", buckets: [0.5, 1], registers });
      for (const value of [0.25, 0.75, 7]) score.observe(value);
      new Summary({ name: "size", help: "x", percentiles: [0.5], registers }).observe(4);
      const found = parseExposition(await registry.metrics(), ["calls_total", "queue", "score", "size", "other"]);
      expect(found.get("calls_total")).toMatchObject({ type: "counter", series: 1, total: 3, isBroken: false });
      expect(found.get("queue")).toMatchObject({ type: "gauge", series: 2, total: 3 });
      expect(found.get("score")).toMatchObject({ type: "histogram", count: 3, sum: 8 });
      expect([...(found.get("score")?.atMost ?? [])]).toEqual([
        [0.5, 1],
        [1, 2],
        [Infinity, 3],
      ]);
      expect(found.get("size")).toMatchObject({ type: "summary", count: 1, sum: 4, series: 0 });
      expect(found.has("other")).toBe(false);
    }
  });

  it("finds a counter by its name with and without _total, and its type", () => {
    const text = '# TYPE calls counter\ncalls_total 7 # {trace="x"} 1 1.5\n# EOF\n';
    expect(parseExposition(text, ["calls"]).get("calls")).toMatchObject({ type: "counter", total: 7 });
    expect(parseExposition(text, ["calls_total"]).get("calls_total")).toMatchObject({ type: "counter", total: 7 });
    const old = "# TYPE calls_total counter\ncalls_total 7 1700000000000\n";
    expect(parseExposition(old, ["calls"]).get("calls")).toMatchObject({ type: "counter", total: 7 });
  });

  it.each(["score", "score{", 'score{a="b', "score{} x", "score 0x10", "score_bucket{} 1", 'score_bucket{le="a"} 1'])(
    "says of %j that it is broken, and reads on",
    (line) => {
      const found = parseExposition(`${line}\nother 5\n`, ["score", "other"]);
      expect(found.get("score")?.isBroken).toBe(true);
      expect(found.get("other")).toMatchObject({ total: 5, isBroken: false });
    },
  );

  it("takes at most 256 bounds", () => {
    const text = Array.from({ length: 10_000 }, (_, i) => `score_bucket{le="${i}"} ${i}`).join("\n");
    const found = parseExposition(text, ["score"]).get("score");
    expect(found).toMatchObject({ isBroken: true });
    expect(found?.atMost.size).toBe(256);
  });

  it("never throws, and keeps to the names it was given", () => {
    const word = fc.constantFrom(
      "score",
      "score_bucket",
      "{",
      "}",
      'le="',
      '"',
      "1",
      "NaN",
      "+Inf",
      "-1e308",
      " ",
      "\n",
      "\\",
      "#",
      "# TYPE score ",
      "histogram",
      "_total",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string()), { maxLength: 60 }), (words) => {
        for (const name of parseExposition(words.join(""), ["score"]).keys()) expect(name).toBe("score");
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ["labels", (size: number) => `score{${'a="\\\\",'.repeat(size)}`],
    ["commas and blanks", (size: number) => `score_bucket{${",  ".repeat(size)}`],
    ["one long name", (size: number) => "score".repeat(size)],
    ["types", (size: number) => `# TYPE ${" ".repeat(size * 5)}`],
  ])("is linear in %s", (_, text) => {
    // Of quadratic work this would be 10^12 steps, which no time limit of a test would bear.
    expect(parseExposition(text(1_000_000), ["score"]).size).toBeLessThanOrEqual(1);
  });
});
