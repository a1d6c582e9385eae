import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compilePipeline } from "@kedge/pipeline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kedge } from "./testing/command-line.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-import-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const WORKFLOW = `on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{ uses: actions/checkout@v4 }, { run: make test }, { uses: who/knows@v1 }]
`;
const JENKINSFILE = "pipeline { agent any\n stages { stage('A') { steps { echo 'x' } } } }\n";

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe("kedge import", () => {
  test("prints the pipeline, and the report beside it", async () => {
    const { code, stdout, stderr } = await kedge(["import", await file("ci.yml", WORKFLOW)], { folder });
    expect(code).toBe(0);
    expect(compilePipeline(stdout).spec?.jobs.map((job) => job.name)).toEqual(["test"]);
    expect(stderr).toContain("unsupported");
    expect(stderr).toMatch(/5:\d+ +unsupported +uses: who\/knows@v1/);
  });

  test("writes a file, and never over one that is there unless told", async () => {
    const path = await file("other.yml", WORKFLOW);
    const out = join(folder, "kedge.yaml");
    expect((await kedge(["import", path, "-o", out], { folder })).code).toBe(0);
    const first = await readFile(out, "utf8");
    expect(compilePipeline(first).spec).toBeDefined();
    await writeFile(out, "mine");
    const again = await kedge(["import", path, "-o", out], { folder });
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining("--force") });
    expect(await readFile(out, "utf8")).toBe("mine");
    expect((await kedge(["import", path, "-o", out, "--force"], { folder })).code).toBe(0);
    expect(await readFile(out, "utf8")).toBe(first);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("--json has both", async () => {
    const { stdout } = await kedge(["import", "--json", "--as", "github", await file("x.txt", WORKFLOW)], { folder });
    const found = JSON.parse(stdout);
    expect(compilePipeline(found.source).spec).toBeDefined();
    expect(found).toMatchObject({
      kind: "github",
      notes: expect.arrayContaining([expect.objectContaining({ line: 5 })]),
    });
  });

  test("a file that nothing is known of asks for --as", async () => {
    const { code, stderr } = await kedge(["import", await file("what.txt", "hello")], { folder });
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("--as") });
  });

  test("--ast prints the tree, or errors with line and column", async () => {
    const good = await kedge(["import", "--ast", await file("Jenkinsfile", JENKINSFILE)], { folder });
    expect(good.code).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({ pipeline: { stages: [{ name: "A" }], agent: { type: "any" } } });
    const bad = await kedge(["import", "--ast", await file("Bad", "pipeline {\n  stages { }\n}\n")], { folder });
    expect(bad.code).toBe(1);
    expect(bad.stdout).toBe("");
    expect(bad.stderr).toMatch(/Bad:\d+:\d+: /);
  });
});

describe("kedge schema", () => {
  test.each(["pipeline", "deployment", "scheduling-policy", "alert-policy", "flag"])(
    "prints that of a %s",
    async (kind) => {
      const { code, stdout } = await kedge(["schema", kind], { folder });
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ $schema: expect.stringContaining("2020-12"), type: "object" });
    },
  );
});
