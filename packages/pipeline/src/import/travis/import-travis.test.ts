import { describe, expect, it } from "vitest";
import { compilePipeline } from "../../pipeline-compile.ts";
import { assertAnyImport } from "../../testing/any-import.ts";
import { importTravisFile } from "./import-travis.ts";

const FILE = `language: node_js
node_js: [20, "22"]
services: [postgresql, docker]
cache: { npm: true, directories: [$HOME/.tool] }
env:
  global: [A=1, { secure: "abc=" }]
branches: { only: [main] }
before_script: [./prepare]
script:
  - npm run lint
  - npm test
after_success: ./report
after_failure: ./explain
jobs:
  include:
    - { stage: deploy, name: Ship it, node_js: 22, script: ./ship, env: TARGET=prod }
notifications: { email: false }
deploy: { provider: script, script: ./release }
`;

const spec = (source: string) => {
  const { source: text, errors } = importTravisFile(source);
  expect(errors).toEqual([]);
  return compilePipeline(text ?? "").spec;
};

describe("a .travis.yml", () => {
  it("becomes a job for each version, and those that are included", () => {
    const jobs = spec(FILE)?.jobs ?? [];
    expect(jobs.map((job) => job.name)).toEqual(["test-20", "test-22", "ship-it"]);
    expect(jobs[0]).toMatchObject({
      image: "node:20",
      services: [{ name: "postgresql", image: "postgres:16" }],
      caches: [{ paths: ["~/.npm", "~/.tool"] }],
      env: { A: "1", CI: "true" },
      post: [{ step: { allowFailure: true } }, { step: { allowFailure: true } }],
    });
    const steps = jobs[0]?.work.case === "steps" ? jobs[0].work.value.steps : [];
    expect(steps.map((step) => step.name)).toEqual(["checkout-1", "install", "before_script", "script", "deploy"]);
    expect(JSON.stringify(steps[3]?.action.value)).toContain("|| failed=1");
    expect(jobs[2]).toMatchObject({
      image: "node:22",
      title: "Ship it",
      stage: "deploy",
      env: { TARGET: "prod" },
      needs: ["test-20", "test-22"],
    });
  });

  it("makes a job of each row of variables", () => {
    const jobs = spec('language: go\ngo: [1.22, 1.23]\nenv: [A=1 B="x y", A=2]\n')?.jobs ?? [];
    expect(jobs.map(({ image, env }) => [image, env["A"], env["B"]])).toEqual([
      ["golang:1.22", "1", "x y"],
      ["golang:1.22", "2", ""],
      ["golang:1.23", "1", "x y"],
      ["golang:1.23", "2", ""],
    ]);
  });

  it("deploys what was pushed to the branch alone", () => {
    const [job] =
      spec("language: minimal\ndeploy: { provider: script, script: ./release, on: { branch: prod } }\n")?.jobs ?? [];
    const step = job?.work.case === "steps" ? job.work.value.steps.at(-1) : undefined;
    expect(step?.env).toEqual({ IF_1: "${" + "{ run.event }}", IF_2: "${" + "{ run.branch }}" });
    expect(step?.action).toMatchObject({
      value: { script: expect.stringMatching(/case "\$IF_2" in prod\).* \|\| exit 0\n\.\/release$/s) },
    });
  });

  it("says what has to be ported", () => {
    const { notes } = importTravisFile(FILE);
    const unsupported = notes
      .filter((note) => note.fidelity === "unsupported")
      .map((note) => `${note.line} ${note.construct}`);
    expect(unsupported).toEqual(["6 env.global", "17 notifications"]);
  });

  it.each(["python", "java", "go", "ruby", "rust", "minimal", "cobol"])("runs what %s runs by default", (language) => {
    expect(spec(`language: ${language}\n`)?.jobs.length).toBe(1);
  });
});

it("any text gives a pipeline that compiles, or an error", () => {
  assertAnyImport(FILE, ["\n", "  - ", "script:", "jobs:", "{", "}", "env:", "secure", "[", "x=1"], importTravisFile);
});
