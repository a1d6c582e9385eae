import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { systemClock } from "@kedge/kernel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CommandResult, type CommandSurroundings, kedge } from "../testing/command-line.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-local-"));
});
afterEach(async () => {
  expect(await leftovers()).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});

/** What local nodes have left on the disk. */
async function leftovers(): Promise<string[]> {
  const names = await readdir(join(folder, "cache", "kedge", "local")).catch(() => []); // None was ever made.
  return names.filter((name) => name !== "caches");
}

async function run(pipeline: string, args: readonly string[] = [], more: Partial<CommandSurroundings> = {}) {
  const file = join(folder, "kedge.yaml");
  await writeFile(file, `name: local\n${pipeline}`);
  return kedge(["run", "--local", file, "--runtime", "process", ...args], {
    folder,
    ...more,
    env: { XDG_CACHE_HOME: join(folder, "cache"), ...more.env },
  });
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = systemClock.monotonic() + 20_000;
  while (!(await holds())) {
    if (systemClock.monotonic() > deadline) throw new Error(`${what}: not in 20 s`);
    await systemClock.sleep(20);
  }
}

/** How each job ended, by what was said at its end. */
function jobsOf({ stdout }: CommandResult): Record<string, string> {
  const ends = stdout.matchAll(/^job (\S+) (succeeded|failed|cancelled|skipped)\b/gm);
  return Object.fromEntries([...ends].map(([, job, state]) => [job, state]));
}

describe("a local run", () => {
  test("follows needs, conditions, matrices, gates; hands on outputs; skips what needs an installation", async () => {
    const result = await run(
      `
parameters: { level: { type: number, default: 3 } }
jobs:
  build:
    env: { LEVEL: "\${{ parameters.level }}" }
    steps:
      - { run: 'echo "level $LEVEL"; echo KIND=release > o; echo "{\\"acc\\": 0.9}" > m', outputs: o, metrics: m }
  test: { needs: [build], matrix: { n: [1, 2] }, steps: [{ run: 'echo "cell \${{ matrix.n }}"' }] }
  good: { needs: [build], gate: [{ metric: acc, at-least: 0.8 }] }
  use:
    needs: [test, good]
    when: { values: [{ value: "\${{ jobs.build.outputs.KIND }}", equals: [release] }] }
    env: { KIND: "\${{ jobs.build.outputs.KIND }}" }
    steps: [{ run: 'echo "kind $KIND"' }]
  never: { needs: [build], when: { branch: none }, steps: [{ run: echo never }] }
  ship: { needs: [use], deploy: { name: vad, model: silero, version: "1" } }
  tidy: { needs: [ship], run-if: always, steps: [{ run: echo tidied }] }
`,
      ["-p", "level=5"],
    );
    expect(result.code, result.stdout + result.stderr).toBe(0);
    for (const line of ["level 5", "cell 1", "cell 2", "kind release", "tidied"])
      expect(result.stdout).toContain(`| ${line}\n`);
    expect(result.stdout).toContain("job ship skipped");
    expect(result.stdout).toContain("deploy: not carried out by a local run");
    expect(jobsOf(result)).toEqual({
      ...{ build: "succeeded", "test-1": "succeeded", "test-2": "succeeded", good: "succeeded", use: "succeeded" },
      ...{ never: "skipped", ship: "skipped", tidy: "succeeded" },
    });
  });

  test("prints one job after the other, whichever order they run in", async () => {
    const loop = (name: string): string => `for i in 1 2 3 4 5; do echo "${name} $i"; sleep 0.05; done`;
    const { code, stdout } = await run(`
jobs:
  a: { steps: [{ run: '${loop("a")}' }] }
  b: { steps: [{ run: '${loop("b")}' }] }
`);
    expect(code).toBe(0);
    const order = [...stdout.matchAll(/\| ([ab]) (\d)$/gm)].map((match) => `${match[1]}${match[2]}`);
    const [first, second] = order[0] === "a1" ? ["a", "b"] : ["b", "a"];
    expect(order).toEqual([first, second].flatMap((name) => [1, 2, 3, 4, 5].map((i) => `${name}${i}`)));
  });

  test("exits 3 when it fails, and tries again what may be tried again", async () => {
    const counted = join(folder, "count");
    const result = await run(`
jobs:
  flaky:
    retry: { attempts: 3, rules: [{ on: [exit-code], exit-codes: [75] }] }
    steps: [{ run: 'echo x >> ${counted}; exit 75' }]
  after: { needs: [flaky], steps: [{ run: 'true' }] }
`);
    expect(result.code).toBe(3);
    expect(await readFile(counted, "utf8")).toBe("x\nx\nx\n");
    expect(jobsOf(result)).toEqual({ flaky: "failed", after: "skipped" });
  });

  test("runs one job with what it needs", async () => {
    const pipeline = `
jobs:
  a: { steps: [{ run: echo a }] }
  b: { needs: [a], steps: [{ run: echo b }] }
  c: { steps: [{ run: echo c }] }
`;
    expect(jobsOf(await run(pipeline, ["--job", "b"]))).toEqual({ a: "succeeded", b: "succeeded" });
    const wrong = await run(pipeline, ["--job", "d"]);
    expect([wrong.code, wrong.stderr]).toEqual([5, expect.stringContaining("There are a, b, c.")]);
  });

  test("asks for approvals, and needs somebody to ask", async () => {
    const pipeline = `
jobs:
  ok: { approval: { message: Ship it? } }
  ship: { needs: [ok], steps: [{ run: echo shipped }] }
`;
    expect((await run(pipeline)).stderr).toContain("job ok asks for an approval");
    expect((await run(pipeline, ["--yes"])).stdout).toContain("| shipped\n");
    const asked: string[] = [];
    const answer = (text: string) => (question: string) => {
      asked.push(question);
      return Promise.resolve(text);
    };
    expect((await run(pipeline, [], { ask: answer("y") })).code).toBe(0);
    const rejected = await run(pipeline, [], { ask: answer("") });
    expect([rejected.code, jobsOf(rejected)]).toEqual([3, { ok: "failed", ship: "skipped" }]);
    expect(asked).toEqual(["approve ok: Ship it? [y/N] ", "approve ok: Ship it? [y/N] "]);
  });

  test("gives secrets to the jobs that ask for them, masked in what is printed", async () => {
    const pipeline = `
parameters: { token: { type: secret } }
jobs:
  a:
    secrets: [{ parameter: token, env: TOKEN }, NPM_TOKEN, { secret: key, file: key.pem }]
    steps:
      - { run: 'printf "%s" "$TOKEN/$NPM_TOKEN/$(cat $KEDGE_SECRETS/key.pem)" > ${join("$OUT", "seen")}; echo "see $TOKEN"', env: { OUT: "OUTDIR" } }
`.replace("OUTDIR", "/proc/self/cwd/../../../../..");
    const file = join(folder, "secrets");
    await writeFile(file, "# mine\nNPM_TOKEN=from-the-file\n");
    const missing = await run(pipeline, ["-p", "token=parameter-value", "--secret-file", file]);
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining("set KEDGE_SECRET_key")]);
    const env = { KEDGE_SECRET_key: "from-the-environment" };
    const result = await run(pipeline, ["-p", "token=parameter-value", "--secret-file", file], { env });
    expect(result.code, result.stdout).toBe(0);
    expect(result.stdout).not.toContain("parameter-value");
    expect(result.stdout).toContain("see ***");
  });

  test("checks out the files as they are, and leaves the repository as it is", async () => {
    const repository = join(folder, "repository");
    await mkdir(repository);
    const git = (...args: string[]) => execFileSync("git", args, { cwd: repository, encoding: "utf8" });
    git("init", "-q", "-b", "main");
    await writeFile(join(repository, "file"), "old");
    await writeFile(join(repository, ".gitignore"), "ignored\n");
    await writeFile(
      join(repository, "kedge.yaml"),
      'name: r\njobs: { a: { steps: [checkout, { run: "cat file; ls" }] } }',
    );
    git("add", ".");
    git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "one");
    for (const name of ["file", "untracked", "ignored"]) await writeFile(join(repository, name), `new ${name}\n`);
    git("add", "file");
    const before = [git("status", "--porcelain"), git("for-each-ref"), git("rev-parse", "HEAD")];
    const env = { XDG_CACHE_HOME: join(folder, "cache") };
    const { code, stdout } = await kedge(["run", "--local", join(repository, "kedge.yaml")], { folder, env });
    expect(code, stdout).toBe(0);
    expect(stdout).toContain("| new file\n");
    expect(stdout).toContain("| untracked\n");
    expect(stdout).not.toContain("| ignored\n");
    expect([git("status", "--porcelain"), git("for-each-ref"), git("rev-parse", "HEAD")]).toEqual(before);
  });

  test("hands on artifacts, and keeps caches for the next run", async () => {
    const pipeline = `
jobs:
  build:
    cache: [{ key: k1, paths: [store] }]
    steps: [{ run: 'ls store || true; mkdir -p store out; echo kept > store/kept; echo made > out/file' }]
    artifacts: [{ name: dist, paths: ["out/**"] }]
  use: { needs: [build], inputs: [{ job: build, artifact: dist, path: in }], steps: [{ run: 'cat in/out/file' }] }
  lack: { needs: [build], inputs: [{ job: build, path: in }], steps: [{ run: 'ls in' }] }
`;
    const first = await run(pipeline);
    expect(first.code, first.stdout + first.stderr).toBe(0);
    expect(first.stdout).toContain("| made\n");
    expect(first.stdout).not.toContain("| kept\n");
    expect((await run(pipeline)).stdout).toContain("| kept\n");
  });

  test("takes components from files", async () => {
    const source = `component: hello\ninputs: { who: {} }\nsteps: [{ run: echo "hello $WHO", env: { WHO: "\${{ inputs.who }}" } }]\n`;
    const file = join(folder, "hello.yaml");
    await writeFile(file, source);
    const digest = createHash("sha256").update(source).digest("hex");
    const pipeline = `jobs: { a: { steps: [{ use: "hello@sha256:${digest}", with: { who: you } }] } }`;
    expect((await run(pipeline)).code).toBe(2);
    const { code, stdout, stderr } = await run(pipeline, ["--component", file]);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("| hello you\n");
  });

  test("prints JSON", async () => {
    const { code, stdout } = await run("jobs: { a: { steps: [{ run: echo hello }] } }", ["--json"]);
    expect(code).toBe(0);
    const items = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(items[0]).toMatchObject({
      job: "a",
      chunk: { step: "run-1", data: Buffer.from("hello\n").toString("base64") },
    });
    expect(items.at(-1)).toMatchObject({ run: { state: "RUN_STATE_SUCCEEDED", pipeline: "local" } });
  });

  test("is cancelled by an interrupt, post steps included in what still runs", async () => {
    const begun = join(folder, "begun");
    const interrupt = new AbortController();
    const running = run(
      `
jobs:
  a:
    steps: [{ run: 'touch ${begun}; sleep 60' }]
    post: { always: [{ run: 'echo "tidy $KEDGE_JOB_STATUS"' }] }
  b: { needs: [a], steps: [{ run: 'true' }] }
`,
      [],
      { signal: interrupt.signal },
    );
    await until("the step begins", () => existsSync(begun));
    interrupt.abort();
    const result = await running;
    expect(result.code).toBe(130);
    expect(result.stdout).toContain("| tidy cancelled\n");
    expect(jobsOf(result)).toEqual({ a: "cancelled", b: "cancelled" });
  });

  test("leaves nothing that runs when it is killed, and the next one removes the rest", async () => {
    const pid = join(folder, "pid");
    await writeFile(
      join(folder, "kedge.yaml"),
      `name: k\njobs: { a: { steps: [{ run: 'echo $$ > ${pid}; sleep 60' }] } }`,
    );
    const bin = resolve(import.meta.dirname, "../testing/cli-process.ts");
    const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache") };
    const args = ["-C", "kedge-source", bin, "run", "--local", join(folder, "kedge.yaml"), "--runtime", "process"];
    const child: ChildProcess = spawn(process.execPath, args, { env, stdio: "ignore" });
    await until("the step begins", async () => (await readFile(pid, "utf8").catch(() => "")) !== "");
    child.kill("SIGKILL");
    await once(child, "exit");
    const step = Number(await readFile(pid, "utf8"));
    await until("the step ends", () => !existsSync(`/proc/${step}`));
    expect(await leftovers()).toHaveLength(1);
    expect((await run("jobs: { a: { steps: [{ run: 'true' }] } }")).code).toBe(0);
  }, 60_000);
});
