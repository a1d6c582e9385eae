import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { JobSchema, RunSchema, SecretScopeSchema, type SourceSchema } from "@kedge/proto";
import { describe, expect, test } from "vitest";
import { assertScope, forkProblem, scopeProblem } from "./scope.ts";

type Scope = MessageInitShape<typeof SecretScopeSchema>;
type Source = MessageInitShape<typeof SourceSchema>;

const runOf = (pipeline: string, source?: Source) => create(RunSchema, { pipeline, ...(source && { source }) });
const jobIn = (environment: string) => create(JobSchema, { spec: { name: "deploy", environment } });

describe("a scope", () => {
  const shop = runOf("shop", { branch: "release/2", commit: "c1" });
  test.each<[string, Scope, string, string | undefined]>([
    ["nothing said: everywhere", {}, "", undefined],
    ["the pipeline", { pipelines: ["shop"] }, "", undefined],
    ["a glob of pipelines", { pipelines: ["sh*"] }, "", undefined],
    ["other pipelines", { pipelines: ["shop-*", "blog"] }, "", 'it is for pipelines "shop-*", "blog", not shop'],
    ["all pipelines but this", { pipelines: ["!shop"] }, "", 'it is for pipelines "!shop", not shop'],
    ["the environment", { environments: ["production"] }, "production", undefined],
    ["another environment", { environments: ["production"] }, "staging", 'and the job\'s is "staging"'],
    ["a job of no environment", { environments: ["production"] }, "", "and the job's is none"],
    ["a job of no environment, where one is excluded", { environments: ["!staging"] }, "", "and the job's is none"],
    ["the branch", { branches: ["main", "release/*"] }, "", undefined],
    ["a branch below", { branches: ["release"] }, "", 'it is for branches "release", and the run\'s is "release/2"'],
    ["the last pattern counts", { branches: ["release/*", "!release/2"] }, "", "and the run's is"],
    [
      "all three",
      { pipelines: ["shop"], environments: ["production"], branches: ["release/*"] },
      "production",
      undefined,
    ],
    [
      "two of three",
      { pipelines: ["shop"], environments: ["production"], branches: ["main"] },
      "production",
      "branches",
    ],
  ])("%s", (_, scope, environment, problem) => {
    const found = scopeProblem(create(SecretScopeSchema, scope), shop, jobIn(environment));
    if (problem === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(problem);
  });

  const branches = (source: Source | undefined, ...patterns: string[]) =>
    scopeProblem(create(SecretScopeSchema, { branches: patterns }), runOf("p", source), jobIn(""));

  test("a run of no branch is of none, whatever is excluded", () => {
    expect(branches(undefined, "**")).toContain("the run's is none");
    expect(branches({ commit: "c1" }, "!main")).toContain("the run's is none");
  });
  test("a tag is no branch of its name, and no branch is a tag", () => {
    expect(branches({ tag: "v1" }, "refs/tags/v*")).toBeUndefined();
    expect(branches({ tag: "main" }, "main")).toContain('"refs/tags/main"');
    expect(branches({ branch: "refs/tags/v1" }, "refs/tags/v*")).toContain('"refs/heads/refs/tags/v1"');
    // Who says both is taken at the tag.
    expect(branches({ tag: "v1", branch: "main" }, "main")).toContain('"refs/tags/v1"');
  });
});

describe("a fork", () => {
  const fork = { fork: true, commit: "c2", branch: "main" };
  test.each([
    ["of ours", { commit: "c2" }, undefined, undefined],
    ["nobody said anything", fork, undefined, "nobody has approved it"],
    ["approved for this commit", fork, { approved: true, commit: "c2" }, undefined],
    ["approved for the commit before", fork, { approved: true, commit: "c1" }, "nobody has approved it"],
    ["approved for no commit", { fork: true }, { approved: true, commit: "" }, "nobody has approved it"],
    ["sent by somebody trusted", { ...fork, trustedSender: true }, undefined, "nobody has approved it"],
    ["rejected", fork, { approved: false, commit: "c2" }, "nobody has approved it"],
  ])("%s", (_, source, decision, problem) => {
    const run = create(RunSchema, { source, ...(decision && { decision }) });
    if (problem === undefined) expect(forkProblem(run)).toBeUndefined();
    else expect(forkProblem(run)).toContain(problem);
  });
});

test("patterns that cannot be meant are refused, naming the list", () => {
  for (const [field, scope] of Object.entries({
    pipelines: { pipelines: [""] },
    environments: { environments: ["!"] },
    branches: { branches: Array.from({ length: 51 }, () => "main") },
  })) {
    expect(() => assertScope(create(SecretScopeSchema, scope))).toThrow(`scope.${field}`);
  }
});
