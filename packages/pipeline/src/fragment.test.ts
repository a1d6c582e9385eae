import { Diagnostic_Severity } from "@kedge/proto";
import { expect, test } from "vitest";
import { compileFragment, compilePipeline } from "./pipeline-compile.ts";

const { spec } = compilePipeline(`
name: ci
jobs:
  plan: { adds-jobs: 4, steps: [{ run: "true" }], artifacts: [{ name: list, paths: [list.txt] }] }
  shard: { needs: [plan], matrix: { n: [1, 2] }, gang: both, steps: [{ run: "true" }] }
  last: { needs: [shard], approval: { message: "ok?" } }
`);

const compile = (source: string) => compileFragment(source, { pipeline: "ci", jobs: spec?.jobs ?? [] });
const errors = (source: string) =>
  compile(source)
    .diagnostics.filter(({ severity }) => severity === Diagnostic_Severity.ERROR)
    .map(({ field, message, line }) => `${line} ${field}: ${message}`);

test("the spec of a fragment has its own jobs only, which may need those of the run", () => {
  const { spec: added, diagnostics } = compile(`
jobs:
  b: { needs: [a, plan], env: { X: "\${{ jobs.plan.outputs.x }}" }, inputs: [{ job: plan, artifact: list }], steps: [{ run: "true" }] }
  a: { needs: [shard-1], steps: [{ run: "true" }] }
`);
  expect(diagnostics).toEqual([]);
  expect(added?.jobs.map(({ name, needs }) => [name, needs])).toEqual([
    ["a", ["shard-1"]],
    ["b", ["a", "plan"]],
  ]);
});

test.each([
  ["jobs: { plan: { steps: [{ run: x }] } }", '1 jobs.plan: the run has a job called "plan" already'],
  ["jobs: { shard: { steps: [{ run: x }] } }", '1 jobs.shard: the run has a job called "shard" already'],
  ["jobs: { a: { needs: [nope], steps: [{ run: x }] } }", '1 jobs.a.needs[0]: no job is called "nope"'],
  ["jobs: { a: { gang: both, steps: [{ run: x }] } }", '1 jobs.a.gang: the run has a gang called "both" already'],
  ["name: other\njobs: { a: { steps: [{ run: x }] } }", '1 name: only jobs can be added, not "name"'],
  ["jobs: { a: { needs: [a], steps: [{ run: x }] } }", "1 jobs.a.needs[0]: these jobs wait for each other: a -> a"],
])("%s is refused", (source, wanted) => {
  expect(errors(source)).toContain(wanted);
});

test.each(["", "[]", "jobs:", "jobs: {}", "jobs: 3", "jobs: { __proto__: { steps: [] } }", "{", "x: &a [*a]"])(
  "%j yields no jobs, and says why",
  (source) => {
    expect(compile(source).spec).toBeUndefined();
    expect(errors(source).length).toBeGreaterThan(0);
  },
);
