import { describe, expect, it } from "vitest";
import { conditionHolds } from "./condition-holds.ts";
import { RUN_FIELDS } from "./expressions.ts";
import { compilePipeline } from "./pipeline-compile.ts";
import type { ResolveContext } from "./resolve.ts";

const NONE = Object.fromEntries(RUN_FIELDS.map((field) => [field, ""])) as ResolveContext["run"];
const look = (name: string): string => `\${{ ${name} }}`;
const run = { ...NONE, branch: "release/1.2", event: "push", changed: "src/a.ts\ndocs/b.md" };
const jobs = new Map([["t", { outputs: { kind: "big" }, metrics: { accuracy: 0.93 } }]]);

function holds(when: string, context: Partial<ResolveContext["run"]> = {}) {
  const source = `name: p\njobs: { t: { steps: [checkout] }, a: { needs: [t], when: ${when}, steps: [checkout] } }\n`;
  const { spec, diagnostics } = compilePipeline(source);
  const condition = spec?.jobs.find((job) => job.name === "a")?.when;
  if (condition === undefined) throw new Error(diagnostics[0]?.message ?? "no condition");
  return conditionHolds(condition, { jobs, run: { ...run, ...context } });
}

describe("a condition", () => {
  it.each([
    ["{ branch: release/* }", true],
    ["{ branch: [main, 'release/**', '!release/1.2'] }", false],
    ["{ tag: 'v*' }", false],
    ["{ event: [push, tag] }", true],
    ["{ changed: ['docs/**'] }", true],
    ["{ changed: ['test/**'] }", false],
    ["{ not: { event: cron } }", true],
    ["{ any: [{ branch: main }, { event: push }] }", true],
    ["{ any: [{ branch: main }, { event: tag }] }", false],
    ["{ all: [{ event: push }, { branch: main }] }", false],
    [`{ values: [{ value: "${look("jobs.t.outputs.kind")}", equals: [small, big] }] }`, true],
    [`{ values: [{ value: "${look("jobs.t.metrics.accuracy")}", at-least: 0.95 }] }`, false],
    [`{ values: [{ value: "${look("jobs.t.outputs.kind")}", matches: "^b.g$" }] }`, true],
  ])("%s: %s", (when, expected) => {
    expect(holds(when).holds).toBe(expected);
  });

  it("holds when the changes are not known", () => {
    expect(holds("{ changed: ['test/**'] }", { changed: "" }).holds).toBe(true);
  });

  it("says what does not hold", () => {
    expect(holds("{ branch: main }")).toEqual({ holds: false, reason: 'run.branch is "release/1.2", not  "main"' });
  });
});
