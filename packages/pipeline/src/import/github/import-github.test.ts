import { describe, expect, it } from "vitest";
import { compilePipeline } from "../../pipeline-compile.ts";
import { assertAnyImport } from "../../testing/any-import.ts";
import { importGithubWorkflow } from "./import-github.ts";

const WORKFLOW = `name: CI
on:
  push: { branches: [main], paths-ignore: ["docs/**"] }
  pull_request:
  schedule: [{ cron: "0 3 * * *" }]
  workflow_dispatch: { inputs: { level: { type: choice, options: [debug, info], default: info } } }
concurrency: { group: "ci-\${{ github.ref }}", cancel-in-progress: true }
env: { NODE_ENV: test }
jobs:
  build:
    runs-on: ubuntu-latest
    strategy:
      fail-fast: false
      matrix: { node: [20, 22], include: [{ node: 22, cover: "yes" }] }
    outputs: { version: "\${{ steps.v.outputs.version }}" }
    steps:
      - uses: actions/checkout@v4
        with: { fetch-depth: 0, submodules: recursive }
      - uses: actions/setup-node@v4
        with: { node-version: "\${{ matrix.node }}", cache: npm }
      - run: npm ci
      - name: Version
        id: v
        run: echo "version=1.2" >> "$GITHUB_OUTPUT"
      - run: if [[ -n "$X" ]]; then echo yes; fi
        if: github.ref == 'refs/heads/main' && github.event_name != 'pull_request'
        env: { X: "\${{ secrets.NPM_TOKEN }}" }
      - run: echo failed
        if: failure()
        continue-on-error: true
      - uses: actions/upload-artifact@v4
        with: { name: dist, path: dist/, retention-days: 5 }
  image:
    needs: [build]
    if: startsWith(github.ref, 'refs/tags/v')
    runs-on: [self-hosted, gpu]
    services:
      db: { image: "postgres:16", ports: ["5432:5432"], options: --health-cmd pg_isready --health-interval 10s }
    steps:
      - uses: actions/checkout@v4
      - uses: actions/download-artifact@v4
        with: { name: dist, path: in }
      - uses: docker/build-push-action@v6
        with: { context: ., push: true, tags: "app:\${{ github.sha }}", build-args: "V=1\\nW=2" }
      - uses: someone/else@v1
      - run: deploy --token \${{ secrets.DEPLOY }} --level \${{ inputs.level }}
`;

describe("a workflow", () => {
  const result = importGithubWorkflow(WORKFLOW);
  const spec = compilePipeline(result.source ?? "").spec;

  it("becomes a pipeline that compiles", () => {
    expect(result.errors).toEqual([]);
    expect(spec?.jobs.map((job) => job.name)).toEqual(["build-20", "build-22-yes", "image"]);
    expect(spec?.triggers.map(({ kind }) => kind.case)).toEqual(
      ["push", "pullRequest", "tag", "cron"].filter((it) => it !== "tag"),
    );
    expect(spec?.parameters).toMatchObject([{ name: "level", choices: ["debug", "info"], defaultValue: "info" }]);
  });

  it("keeps matrix, image, cache, outputs, secrets and conditions", () => {
    const build = spec?.jobs[0];
    expect(build).toMatchObject({
      image: "node:20",
      matrix: { node: "20" },
      caches: [{ paths: ["~/.npm"] }],
      secrets: [{ secret: "NPM_TOKEN", env: "X" }],
      artifacts: [{ name: "dist", paths: ["dist/**"], expireSeconds: 5 * 86_400 }],
    });
    const steps = build?.work.case === "steps" ? build.work.value.steps : [];
    expect(steps[0]?.action.value).toMatchObject({ depth: 1_000_000, submodules: true });
    expect(steps[2]).toMatchObject({ name: "Version", outputsFile: ".github-output-3" });
    expect(JSON.stringify(steps[3]?.action.value)).toContain('case \\"$IF_1\\" in main)');
    expect(steps[4]).toMatchObject({ allowFailure: true });
    const image = spec?.jobs[2];
    expect(image).toMatchObject({
      needs: ["build-20", "build-22-yes"],
      inputs: [{ name: "dist", path: "in" }, { name: "dist" }],
    });
    expect(image?.when?.kind).toMatchObject({ case: "value", value: { operands: ["v**"] } });
    expect(image?.services).toMatchObject([{ name: "db", ready: { case: "readyCommand", value: "pg_isready" } }]);
  });

  it("is reported construct by construct, with lines", () => {
    const unsupported = result.notes.filter((note) => note.fidelity === "unsupported");
    expect(unsupported.map(({ line, construct }) => `${line} ${construct}`)).toEqual(["45 uses: someone/else@v1"]);
    expect(result.notes.find((note) => note.construct.startsWith("uses: actions/setup-node"))).toMatchObject({
      fidelity: "approximate",
      line: 19,
    });
  });
});

it("any text gives a pipeline that compiles, or an error", () => {
  assertAnyImport(
    WORKFLOW,
    [
      "jobs:",
      "  a:",
      "    steps:",
      "      - run: x",
      "\n",
      "${{",
      " }}",
      "if: ",
      "uses: a/b@c",
      "matrix",
      "[",
      "{",
      ": ",
    ],
    importGithubWorkflow,
  );
});

describe("logins to registries", () => {
  const look = (name: string) => `\${{ ${name} }}`;
  const workflow = (steps: string, job = "") => `on: push
jobs:
  image:
    runs-on: ubuntu-latest
    ${job}
    steps:
      - uses: actions/checkout@v4
${steps}
      - uses: docker/build-push-action@v6
        with: { push: true, tags: "ghcr.io/me/app:1", platforms: "linux/amd64,linux/arm64" }
`;
  const login = (registry: string, username: string, password: string) =>
    `      - uses: docker/login-action@v3\n        with: { registry: ${registry}, username: "${username}", password: "${password}" }`;

  it("are those of the job, with secrets", () => {
    const credentials = `container: { image: "r.example:5000/a", credentials: { username: me, password: "\${{ secrets.R }}" } }`;
    const services = `services: { db: { image: ghcr.io/me/db, credentials: { username: x, password: "${look("secrets.Y")}" } } }`;
    const steps = [
      login("ghcr.io", look("github.actor"), look("secrets.GITHUB_TOKEN")),
      `${login("https://index.docker.io", look("secrets.HUB_USER"), look("secrets.HUB_TOKEN"))}\n        if: github.ref == 'refs/heads/main'`,
    ];
    const {
      source = "",
      notes,
      errors,
    } = importGithubWorkflow(workflow(steps.join("\n"), `${credentials}\n    ${services}`));
    expect(errors).toEqual([]);
    const [job] = compilePipeline(source).spec?.jobs ?? [];
    expect(job?.registries.map((it) => [it.registry, it.username || it.usernameSecret, it.passwordSecret])).toEqual([
      ["r.example:5000", "me", "R"],
      ["ghcr.io", "GITHUB_ACTOR", "GITHUB_TOKEN"],
      ["index.docker.io", "HUB_USER", "HUB_TOKEN"],
    ]);
    expect(notes.find(({ construct }) => construct.endsWith(".if"))).toMatchObject({ fidelity: "approximate" });
    expect(source).toContain("platforms:\n");
    expect(notes.find(({ construct }) => construct.includes("login-action"))).toMatchObject({
      fidelity: "approximate",
    });
  });

  it("that cannot be kept fail", () => {
    const steps = login("ghcr.io", look("vars.USER"), look("secrets.T"));
    const { source = "", notes } = importGithubWorkflow(workflow(steps));
    expect(source).toContain("to be ported: uses: docker/login-action@v3");
    expect(notes.some(({ fidelity }) => fidelity === "unsupported")).toBe(true);
  });
});
