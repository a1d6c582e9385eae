import { create } from "@bufbuild/protobuf";
import { compilePipeline, conditionHolds } from "@kedge/pipeline";
import { JobSchema, SecretScopeSchema, SourceSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { scopeProblem } from "../secrets/scope.ts";
import { newRun } from "./new-run.ts";
import { resolveContext } from "./resolve-context.ts";

const FILE = `name: p
runs: { group: "p-\${{ run.branch }}" }
jobs: { deploy: { when: { branch: main }, steps: [{ run: x }] } }
`;

function runOf(source: { readonly fork: boolean; readonly branch: string }) {
  const { spec } = compilePipeline(FILE);
  if (spec === undefined) throw new Error("the pipeline does not compile");
  const who = { parameters: {}, submittedBy: "t", team: "t", idempotencyKey: "", labels: {} };
  const whole = create(SourceSchema, { ...source, ref: source.branch, commit: "a".repeat(40) });
  return newRun({ id: "r", spec, source: whole, ...who, nowMs: 0 });
}

const mainOnly = create(SecretScopeSchema, { branches: ["main"] });

test.each([
  ["the repository's own main", { fork: false, branch: "main" }, true],
  ["a fork's branch of that name", { fork: true, branch: "main" }, false],
])("conditions, groups and secrets of main: %s", (_, source, isMain) => {
  const run = runOf(source);
  const [job] = run.jobs;
  if (job?.spec?.when === undefined) throw new Error("the job has no condition");
  expect(conditionHolds(job.spec.when, resolveContext(run)).holds).toBe(isMain);
  expect(run.concurrency?.group === "p-main").toBe(isMain);
  expect(scopeProblem(mainOnly, run, create(JobSchema, { spec: job.spec })) === undefined).toBe(isMain);
});

test("a fork cannot choose its way around it, and a called run is not told apart twice", () => {
  const first = runOf({ fork: true, branch: "fork/main" });
  expect(first.source?.branch).toBe("fork/main");
  expect(runOf({ fork: true, branch: "main" }).source).toMatchObject({
    branch: "fork/main",
    ref: "fork/main",
    tag: "",
  });
});
