import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parseDeployment } from "./deployment-compile.ts";
import { parseComponent } from "./expand/component.ts";
import { compilePipeline, lintPipeline } from "./pipeline-compile.ts";
import { parseSchedulingPolicy } from "./scheduling-policy-parse.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const language = readFileSync(new URL("../LANGUAGE.md", import.meta.url), "utf8");
const rollouts = readFileSync(new URL("../ROLLOUTS.md", import.meta.url), "utf8");
const blocks = (text: string): string[] => [...text.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? "");
const [pipeline = "", deployment = "", policy = ""] = blocks(readme);

it("the README's pipeline compiles without a finding", () => {
  expect(lintPipeline(pipeline)).toEqual([]);
  expect(compilePipeline(pipeline).spec?.jobs.map((job) => job.name)).toEqual([
    "test",
    "worker-a",
    "worker-b",
    "quality",
    "ok",
    "rollout",
  ]);
});

it("the README's deployment file is read without a finding", () => {
  expect(parseDeployment(deployment)).toMatchObject({ diagnostics: [], spec: { name: "vad" } });
});

it("the strategies of ROLLOUTS.md are read without a finding", () => {
  const kinds = blocks(rollouts).map((source) => {
    const { spec, diagnostics } = parseDeployment(source);
    expect(diagnostics).toEqual([]);
    return spec?.strategy?.kind.case;
  });
  expect(kinds).toEqual(["canary", "canary", "blueGreen", "rolling", "abTest", "shadow"]);
});

it("the README's scheduling policy is read without a finding", () => {
  expect(parseSchedulingPolicy(policy)).toMatchObject({ diagnostics: [], policy: { teams: { vision: { share: 3 } } } });
});

it("every file of LANGUAGE.md is read without a finding", () => {
  const all = blocks(language);
  const pipelines = all.filter((source) => source.startsWith("name:"));
  expect(pipelines.map((source) => lintPipeline(source))).toEqual(pipelines.map(() => []));
  expect(all.filter((source) => source.startsWith("component:")).map((it) => parseComponent(it).diagnostics)).toEqual([
    [],
  ]);
});
