import { ParameterType, RetryOn, RunOn, ValueOperator } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { compilePipeline, lintPipeline } from "./pipeline-compile.ts";
import { show } from "./testing/diagnostics.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const look = (name: string): string => `\${{ ${name} }}`;

function jobsOf(source: string, options = {}) {
  const { spec, diagnostics } = compilePipeline(source, options);
  expect(show(diagnostics)).toEqual([]);
  if (spec === undefined) throw new Error("no spec");
  return spec.jobs;
}

describe("a matrix", () => {
  const source = `name: p
jobs:
  build: { steps: [checkout] }
  test:
    needs: [build]
    matrix:
      node: [20, 3.10]
      os: [Debian, alpine]
      include: [{ node: 20, extra: fast }, { node: 99, os: bsd }]
      exclude: [{ node: 3.10, os: alpine }]
    fail-fast: true
    max-parallel: 2
    image: node:${look("matrix.node")}-${look("matrix.os")}
    env: { EXTRA: "${look("matrix.extra")}" }
    steps: [{ run: test }]
  ship: { needs: [test], steps: [{ run: ship }] }
`;

  it("becomes a job for each combination, in the order of the file", () => {
    const jobs = jobsOf(source);
    expect(jobs.map((job) => job.name)).toEqual([
      ...["build", "test-20-debian-fast", "test-20-alpine-fast", "test-3-10-debian", "test-99-bsd", "ship"],
    ]);
    expect(jobs[1]).toMatchObject({
      image: "node:20-Debian",
      env: { EXTRA: "fast" },
      matrix: { node: "20", os: "Debian", extra: "fast" },
      matrixJob: "test",
      failFast: true,
      maxParallel: 2,
      needs: ["build"],
    });
    expect(jobs[3]).toMatchObject({ image: "node:3.10-Debian", env: { EXTRA: "" } });
    expect(jobs.at(-1)?.needs).toEqual(jobs.slice(1, 5).map((job) => job.name));
  });

  it("gives numbers and booleans where they are alone", () => {
    const [job] = jobsOf(`name: p
jobs: { a: { matrix: { cpu: [2], push: [true] }, resources: { cpu: "${look("matrix.cpu")}" }, steps: [{ build: { push: "${look("matrix.push")}", tags: [x] } }] } }
`);
    expect(job?.resources?.cpuMilli).toBe(2000);
    expect(job?.work).toMatchObject({ value: { steps: [{ action: { value: { push: true } } }] } });
  });

  it("takes values of parameters", () => {
    const jobs = jobsOf(
      `name: p\nparameters: { v: { default: 7 } }\njobs: { a: { matrix: { x: ["${look("parameters.v")}"] }, steps: [checkout] } }\n`,
    );
    expect(jobs.map((job) => job.name)).toEqual(["a-7"]);
  });

  it("tells names apart that are alike or too long", () => {
    const jobs = jobsOf(
      `name: p\njobs: { a: { matrix: { x: ["a/b", "a b", ${"x".repeat(90)}] }, steps: [checkout] } }\n`,
    );
    const names = jobs.map((job) => job.name);
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name).toMatch(/^a-[a-z0-9-]{1,62}$/);
  });

  it.each([
    ["matrix: { x: [] }", "4:18 jobs.a.matrix.x: must not be empty"],
    [
      `matrix: { x: [1] }\n    image: ${look("matrix.y")}`,
      '5:12 jobs.a.image: the matrix has no axis "y" (did you mean "x"?)',
    ],
    [`image: ${look("matrix.y")}`, "4:12 jobs.a.image: the job has no matrix"],
    [
      "matrix: { x: [1], exclude: [{ x: 2 }] }",
      "4:33 jobs.a.matrix.exclude[0]: warning: leaves nothing out: no combination agrees with it",
    ],
    [`matrix: { x: ["${look("run.id")}"] }`, "4:19 jobs.a.matrix.x[0]: a matrix must be known before the run starts"],
    [
      "matrix: { x: [1, 2] }\n    timeout: 5",
      "5:14 jobs.a.timeout: must be text, not 5 (write a unit or put it in quotes)",
    ],
  ])("says what is wrong with %s, once and at its place", (line, expected) => {
    expect(show(lintPipeline(`name: p\njobs:\n  a:\n    ${line}\n    steps: [checkout]\n`))).toEqual([expected]);
  });

  it("is refused when it has too many combinations", () => {
    const values = `[${Array.from({ length: 40 }, (_, i) => i).join(", ")}]`;
    const source = `name: p\njobs: { a: { matrix: { x: ${values}, y: ${values} }, steps: [checkout] } }\n`;
    expect(show(lintPipeline(source))[0]).toContain("the matrix has 1600 combinations");
  });
});

describe("stages", () => {
  it("make jobs wait for those of the stage before", () => {
    const jobs = jobsOf(`name: p
stages: [build, test, ship]
jobs:
  b1: { stage: build, steps: [checkout] }
  b2: { stage: build, steps: [checkout] }
  lint: { stage: ship, needs: [], steps: [checkout] }
  ship: { stage: ship, steps: [checkout] }
`);
    expect(Object.fromEntries(jobs.map((job) => [job.name, job.needs]))).toEqual({
      ...{ b1: [], b2: [], lint: [], ship: ["b1", "b2"] },
    });
  });

  it("must be named", () => {
    const source =
      "name: p\nstages: [build]\njobs:\n  a: { stage: biuld, steps: [checkout] }\n  b: { steps: [checkout] }\n";
    expect(show(lintPipeline(source))).toEqual([
      '4:15 jobs.a.stage: no stage is called "biuld" (did you mean "build"?)',
      "5:3 jobs.b: a stage is required where there are stages (one of build)",
    ]);
  });
});

describe("a component", () => {
  const component = `component: npm-test
inputs: { dir: { default: . }, depth: { type: number, default: 1 } }
steps:
  - checkout: { depth: "${look("inputs.depth")}" }
  - { name: unit, run: "cd ${look("inputs.dir")} && npm test" }
`;
  const components = new Map([[`npm-test@${DIGEST}`, component]]);
  const source = (use: string): string => `name: p\njobs:\n  a:\n    steps:\n      - { ${use} }\n      - run: after\n`;

  it("gives its steps, with its inputs filled in", () => {
    const [job] = jobsOf(source(`use: npm-test@${DIGEST}, with: { dir: web, depth: 5 }`), { components });
    expect(job?.work).toMatchObject({
      value: {
        steps: [
          { name: "npm-test-1", component: `npm-test@${DIGEST}`, action: { value: { depth: 5 } } },
          { name: "npm-test-2 unit", action: { value: { script: "cd web && npm test" } } },
          { name: "run-3" },
        ],
      },
    });
  });

  it.each([
    [
      "use: npm-test",
      '5:16 jobs.a.steps[0].use: must be <component>@sha256:<digest>, not "npm-test" (kedge component list shows both)',
    ],
    [
      `use: npm-test@${DIGEST}, with: { dir: { a: b } }`,
      /steps\[0\].with.dir: must be a text, a number, true or false/,
    ],
    [`use: npm-test@${DIGEST}, with: [dir]`, /steps\[0\].with: must be a mapping of inputs, not \["dir"\]/],
    [`use: other@${DIGEST}`, /^5:16 jobs.a.steps\[0\].use: no component is called/],
    [`use: npm-test@${DIGEST}, with: { depth: x }`, /must be a number; "x" was given/],
    [
      `use: npm-test@${DIGEST}, with: { dri: x }`,
      /the component has no input "dri", which was given \(did you mean "dir"\?\)/,
    ],
    [`use: npm-test@${DIGEST}, env: {}`, /env cannot stand beside use/],
  ])("is refused: %s", (use, expected) => {
    const found = show(compilePipeline(source(use), { components }).diagnostics)[0];
    if (typeof expected === "string") expect(found).toBe(expected);
    else expect(found).toMatch(expected);
  });
});

describe("a job", () => {
  it("takes everything there is", () => {
    const source = `name: p
parameters: { token: { type: secret }, level: { type: number, minimum: 1, maximum: 9, default: 3 } }
on: { push: { branches: [main, "release/**"], paths: ["src/**"] }, pull-request: , tag: "v*", cron: "H 3 * * 1-5", poll: { every: 5m } }
runs: { group: "deploy-${look("run.branch")}", on-new: cancel-pending }
jobs:
  a:
    title: "Build ${look("parameters.level")}"
    environment: production
    when: { branch: main, not: { event: cron }, values: [{ value: "${look("parameters.level")}", at-least: 2 }] }
    image: node:24
    secrets: [NPM_TOKEN, { secret: key, file: key.pem }, { parameter: token, env: TOKEN }]
    pull: always
    registries:
      - { host: ghcr.io, username: ci, password: GHCR }
      - { host: "r.example:5000", username: { secret: R_USR }, password: R_PSW }
    services: { db: { image: "postgres:16", env: { A: b }, ready: { http: { port: 80, path: /ok } } } }
    artifacts: [{ name: dist, paths: ["dist/**"], on: always, expire: 7d, report: junit }]
    cache: [{ key: "npm-${look("hash('package-lock.json', 'a/**')")}", paths: [~/.npm, x], restore-keys: [npm-] }]
    retry: { attempts: 4, rules: [{ on: [infrastructure, exit-code], exit-codes: [75], delay: 10s }] }
    adds-jobs: 5
    steps:
      - checkout: { submodules: true, lfs: true, filter: "blob:none", credential: git }
      - checkout: { subversion: "svn://x/y", ref: HEAD, path: svn }
      - build: { secrets: { npm: NPM_TOKEN }, platforms: [linux/arm64], cache-from: [a] }
      - model: { tag: m, version: 3, tags: [best] }
      - model: { evaluate: m, data: d.jsonl }
      - model: { quantize: a.onnx, output: b.onnx }
      - { gate: [{ metric: accuracy, at-least: 0.9 }], run-if: always, allow-failure: true }
    post: { always: [{ run: clean }], failure: [{ run: tell }] }
    cleanup-timeout: 1m
  b: { needs: [a, { job: gone, optional: true }], run-if: failure, inputs: [a, { job: a, artifact: dist, path: in }], image: x, steps: [{ run: x }] }
  c: { needs: [b], call: { pipeline: other, parameters: { x: 1 } } }
  d: { needs: [c], run-if: always, notify: { receiver: team, message: "done: ${look("run.id")}" } }
  e: { approval: { approvers: ["role:admin", alice], required: 2, not-by-submitter: true } }
`;
    const { spec, diagnostics } = compilePipeline(source, { parameters: { token: "s3cret" } });
    expect(show(diagnostics)).toEqual([]);
    expect(JSON.stringify(spec, (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain(
      "s3cret",
    );
    expect(spec?.triggers.map((it) => it.kind.case)).toEqual(["push", "pullRequest", "tag", "cron", "poll"]);
    expect(spec?.parameters[0]).toMatchObject({ name: "token", type: ParameterType.SECRET });
    const a = spec?.jobs.find((job) => job.name === "a");
    expect(a).toMatchObject({
      title: "Build 3",
      environment: "production",
      maxAddedJobs: 5,
      cleanupTimeoutSeconds: 60,
      secrets: [
        { secret: "NPM_TOKEN", env: "NPM_TOKEN" },
        { secret: "key", file: "key.pem" },
        { secret: "parameters.token", env: "TOKEN" },
      ],
      services: [{ name: "db", ready: { case: "readyHttp", value: { port: 80, path: "/ok" } } }],
      retry: [{ on: [RetryOn.INFRASTRUCTURE, RetryOn.EXIT_CODE], exitCodes: [75], delaySeconds: 10 }],
      post: [
        { on: RunOn.FAILURE, step: { name: "post run-1" } },
        { on: RunOn.ALWAYS, step: { name: "post run-1" } },
      ],
    });
    expect(a?.when?.kind).toMatchObject({ case: "all", value: { conditions: { length: 3 } } });
    expect(spec?.jobs.find((job) => job.name === "b")).toMatchObject({ needs: ["a"], runOn: RunOn.FAILURE });
    expect(spec?.runConcurrency).toMatchObject({ limit: 1, group: `deploy-${look("run.branch")}` });
  });

  it.each([
    [`env: { A: "${look("parameters.t")}" }`, /a secret parameter cannot be part of a value/],
    [
      "runtime: process\n    post: { always: [{ run: { script: x, image: y } }] }",
      /the process runtime cannot use images/,
    ],
    ["services: { db: { image: x } }", /services are containers, and so must be the job/],
    ["inputs: [b]", /no job is called "b"/],
    ["when: {}", /must not be empty/],
    ['when: { values: [{ value: x, matches: "(" }] }', /must be a regular expression/],
    [`env: { A: "${look("hash('x')")}" }`, /is for the key of a cache/],
    [`env: { A: "${look("secrets.X")}" }`, /list it under secrets of the job/],
    [`env: { A: "${look("run.changed")}" }`, /is for conditions under when/],
    ["retry: { rules: [{ on: timeout, exit-codes: [1] }] }", /exit-codes need on: exit-code/],
    ["registries: [{ host: https://ghcr.io, username: ci, password: P }]", /must be a registry's host, e.g. ghcr.io/],
    ["registries: [{ host: ghcr.io, username: a:b, password: P }]", /must be a user name, not "a:b"/],
    [
      "registries: [{ host: a, username: b, password: P }, { host: A, username: c, password: P }]",
      /two logins for "a"/,
    ],
    ["secrets: [A, { secret: B, env: A }]", /two secrets go to "A"/],
  ])("is refused with %s", (line, expected) => {
    const source = `name: p\nparameters: { t: { type: secret } }\njobs:\n  a:\n    secrets: [{ parameter: t, env: T }]\n    ${line}\n    steps: [{ run: x }]\n`;
    const lines = line.startsWith("secrets") ? source.replace("    secrets: [{ parameter: t, env: T }]\n", "") : source;
    expect(show(lintPipeline(lines)).join("\n")).toMatch(expected);
  });
});

describe("triggers", () => {
  it.each([
    ['cron: "* * *"', /must have five fields/],
    ['cron: "61 * * * *"', /"61" is no minute/],
    ['cron: "* * * * mon-funday"', /is no weekday/],
    ["poll: { every: 1s }", /must be at least 10s/],
    ["pish: {}", /did you mean "push"/],
  ])("are refused with %s", (line, expected) => {
    expect(show(lintPipeline(`name: p\non: { ${line} }\njobs: { a: { steps: [checkout] } }\n`)).join()).toMatch(
      expected,
    );
  });
});

describe("conditions of branches and paths", () => {
  it("compare with what is known of the run", () => {
    const [job] = jobsOf(
      'name: p\njobs: { a: { when: { changed: ["src/**", "!src/docs/**"] }, steps: [checkout] } }\n',
    );
    expect(job?.when).toMatchObject({
      kind: { case: "value", value: { operator: ValueOperator.GLOB, operands: ["src/**", "!src/docs/**"] } },
    });
  });
});

it("builds for several platforms where it pushes", () => {
  const source = (rest: string) => `name: p\njobs: { a: { steps: [{ build: { tags: [r/a], ${rest} } }] } }\n`;
  const both = "platforms: [linux/amd64, linux/arm64]";
  expect(show(lintPipeline(source(`${both}, push: true`)))).toEqual([]);
  expect(show(lintPipeline(source(both))).join()).toContain("several platforms need push: true");
  const twice = source("platforms: [linux/amd64, linux/amd64], push: true");
  expect(show(lintPipeline(twice)).join()).toContain("must not name a platform twice");
});
