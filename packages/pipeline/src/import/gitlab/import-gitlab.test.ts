import { describe, expect, it } from "vitest";
import { compilePipeline } from "../../pipeline-compile.ts";
import { assertAnyImport } from "../../testing/any-import.ts";
import { importGitlabFile } from "./import-gitlab.ts";

const FILE = `stages: [build, test, deploy]
variables: { REGISTRY: reg.example, TAG: "1.10" }
default: { image: "node:24", retry: { max: 1, when: runner_system_failure } }
.base: { before_script: ["npm ci"], tags: [docker] }
.lint: { script: ["npm run lint", "npm run types"] }
build:
  extends: .base
  stage: build
  script: [npm run build]
  cache: { key: { files: [package-lock.json], prefix: npm }, paths: [node_modules/] }
  artifacts: { paths: [dist/], expire_in: 1 week }
lint:
  stage: test
  needs: []
  script:
    - !reference [.lint, script]
  allow_failure: true
unit:
  stage: test
  services: ["postgres:16", { name: redis:7, alias: cache }]
  script: [npm test]
  after_script: [./tidy]
  parallel: { matrix: [{ DB: [pg, my], V: ["1"] }] }
  artifacts: { reports: { junit: junit.xml } }
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      changes: ["src/**/*"]
deploy:
  stage: deploy
  image: $REGISTRY/deployer:$TAG
  script: [./deploy]
  environment: { name: production }
  resource_group: prod
  when: manual
  only: [main, /^release-.*$/]
alarm: { stage: deploy, script: [./alarm], when: on_failure, timeout: 5m }
`;

describe("a .gitlab-ci.yml", () => {
  const result = importGitlabFile(FILE);
  const jobs = compilePipeline(result.source ?? "").spec?.jobs ?? [];
  const job = (name: string) => jobs.find((it) => it.name === name);

  it("becomes a pipeline that compiles", () => {
    expect(result.errors).toEqual([]);
    expect(jobs.map((it) => it.name).toSorted()).toEqual(
      ["alarm", "build", "deploy", "deploy-approve", "lint", "unit-my-1", "unit-pg-1"].toSorted(),
    );
  });

  it("keeps what jobs extend, inherit and refer to", () => {
    expect(job("build")).toMatchObject({ image: "node:24", placement: { constraints: [{ label: "docker" }] } });
    expect(JSON.stringify(job("build")?.work.value)).toContain("npm ci\\nnpm run build");
    expect(JSON.stringify(job("lint")?.work.value)).toContain("npm run lint\\nnpm run types");
    expect(job("lint")).toMatchObject({ needs: [], allowFailure: true });
  });

  it("keeps files, services, retries, rules and approvals", () => {
    expect(job("build")).toMatchObject({
      caches: [{ paths: ["node_modules"] }],
      artifacts: [{ name: "files", paths: ["dist/**"], expireSeconds: 604_800 }],
      retry: [{ maxAttempts: 0 }],
      maxAttempts: 2,
    });
    expect(job("build")?.caches[0]?.key).toBe(`npm-\${{ hash('package-lock.json') }}`);
    expect(job("unit-pg-1")).toMatchObject({
      needs: ["build"],
      inputs: [{ job: "build" }],
      services: [{ name: "postgres" }, { name: "cache", image: "redis:7" }],
      post: [{ step: { action: { case: "run" } } }],
      matrix: { DB: "pg", V: "1" },
    });
    expect(job("unit-pg-1")?.when?.kind.case).toBe("any");
    expect(job("deploy")).toMatchObject({ image: "reg.example/deployer:1.10", environment: "production" });
    expect(job("deploy")?.needs).toContain("deploy-approve");
    expect(job("deploy-approve")?.work.case).toBe("approval");
    expect(job("alarm")).toMatchObject({ timeoutSeconds: 300, runOn: 2 });
  });
});

it.each([
  ["a condition that is not known", '[{ if: "$CUSTOM == \\"x\\"" }]'],
  ["rules that differ in when", '[{ if: "$CI_COMMIT_TAG", when: manual }, { when: on_success }]'],
])("%s fails the job before its script", (_, rules) => {
  const { source, notes } = importGitlabFile(`a:\n  script: [deploy]\n  rules: ${rules}\n`);
  const jobs = compilePipeline(source ?? "").spec?.jobs ?? [];
  const work = jobs.find((it) => it.name === "a")?.work;
  const [first] = work?.case === "steps" ? work.value.steps : [];
  expect(first?.action).toMatchObject({
    value: { script: expect.stringMatching(/^echo 'to be ported: rules.*exit 1$/s) },
  });
  expect(notes.some((note) => note.fidelity === "unsupported")).toBe(true);
});

it("any text gives a pipeline that compiles, or an error", () => {
  assertAnyImport(
    FILE,
    ["script:", "\n", "  - ", "!reference [", "]", "{", "rules:", "$X", "extends: .base", "when: never"],
    importGitlabFile,
  );
});

it("numbers that are mappings or lists are none", () => {
  for (const odd of ["[{}]", "-5", "0.5", "{ a: 1 }", "[[1]]"]) {
    const { source = "" } = importGitlabFile(`a: { script: [x], parallel: ${odd}, retry: { max: ${odd} } }\n`);
    const { spec, diagnostics } = compilePipeline(source);
    expect([odd, diagnostics, spec?.jobs.length]).toEqual([odd, [], 1]);
  }
});

it("an image is pulled as its first policy says", () => {
  const policies = { a: "always", b: "if-not-present", c: "[always, if-not-present]", d: "never" };
  const source = Object.entries(policies).map(([job, policy]) => {
    return `${job}: { script: [x], image: { name: i, pull_policy: ${policy} } }\n`;
  });
  const { source: pipeline = "", notes } = importGitlabFile(source.join(""));
  const jobs = compilePipeline(pipeline).spec?.jobs ?? [];
  expect(jobs.map(({ name, alwaysPull }) => `${name} ${alwaysPull}`)).toEqual([
    "a true",
    "b false",
    "c true",
    "d false",
  ]);
  expect(notes.find(({ construct }) => construct.includes("pull_policy"))).toMatchObject({ fidelity: "approximate" });
});
