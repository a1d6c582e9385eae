import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KedgeError } from "@kedge/domain";
import { LogStream, ModelService, type PushModelRequest, RunService, RunState } from "@kedge/proto";
import { bindService, type RpcServer, type ServiceImplementation } from "@kedge/rpc";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  collect,
  createKedgeClient,
  followLogs,
  type KedgeClient,
  logLines,
  pullModel,
  pushModelFolder,
  submitAndWait,
} from "./index.ts";
import { makeIdentity, serve } from "./testing/server.ts";

const identity = makeIdentity();
const refuse = (): Promise<never> => Promise.reject(new KedgeError("INTERNAL", "not part of this test"));
let folder: string;
let server: RpcServer | undefined;
let client: KedgeClient | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-client-"));
});
afterEach(async () => {
  client?.close();
  await server?.stop(100);
  await rm(folder, { recursive: true, force: true });
});

function connect(to: RpcServer): KedgeClient {
  client = createKedgeClient({ address: `127.0.0.1:${to.port}`, caPem: identity.certPem, token: "t" });
  return client;
}

type Runs = ServiceImplementation<typeof RunService>;
function runService(methods: Partial<Runs>) {
  const calls = { submitRun: refuse, getRun: refuse, listRuns: refuse, cancelRun: refuse, retryRun: refuse };
  const rest = { approveJob: refuse, rejectJob: refuse, async *watchRun() {}, async *streamLogs() {} };
  const words = { approveRun: refuse, rejectRun: refuse, listApprovals: refuse, addJobs: refuse };
  return bindService(RunService, { ...calls, ...rest, ...words, ...methods });
}

type Models = ServiceImplementation<typeof ModelService>;
function modelService(methods: Pick<Models, "pushModel" | "pullModel">) {
  const rest = { getModel: refuse, listModels: refuse, tagModel: refuse, deleteModel: refuse };
  return bindService(ModelService, { ...rest, ...methods });
}

/** A registry of one version, kept as the parts that were pushed. */
async function serveRegistry(tamper: (files: Map<string, Uint8Array>) => void = () => {}) {
  const pushed: PushModelRequest[] = [];
  const pushModel: Models["pushModel"] = async (requests) => {
    for await (const request of requests) pushed.push(request);
    return { version: { model: "m", version: 1 } };
  };
  const pullModel: Models["pullModel"] = async function* () {
    const files = contents(pushed);
    const entries = [...files].map(([path, data]) => ({
      path,
      size: BigInt(data.length),
      sha256: createHash("sha256").update(data).digest("hex"),
    }));
    yield { part: { case: "version", value: { model: "m", version: 1, manifest: { files: entries } } } };
    tamper(files);
    for (const [path, data] of files) yield { part: { case: "file", value: { path, data } } };
  };
  server = await serve(identity, [modelService({ pushModel, pullModel })]);
  return { pushed, client: connect(server) };
}

function contents(pushed: readonly PushModelRequest[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const { part } of pushed) {
    if (part.case !== "file") continue;
    files.set(part.value.path, Buffer.concat([files.get(part.value.path) ?? Buffer.alloc(0), part.value.data]));
  }
  return files;
}

async function makeModel(): Promise<string> {
  const model = join(folder, "model");
  await mkdir(join(model, "sub"), { recursive: true });
  await writeFile(join(model, "z.bin"), Buffer.alloc(1_300_000, 7));
  await writeFile(join(model, "sub", "a.txt"), "hello");
  await writeFile(join(model, "empty"), "");
  return model;
}

test("submitAndWait answers the ended run, also when the server restarts in between", async () => {
  const run = { id: "r1", jobs: [] };
  let watches = 0;
  const keys: string[] = [];
  const service = runService({
    submitRun: async ({ idempotencyKey }) => {
      if (keys.push(idempotencyKey) === 1) throw new KedgeError("NOT_LEADER", "moved");
      return { run };
    },
    async *watchRun() {
      yield { run: { ...run, state: RunState.RUNNING } };
      if (++watches === 1) throw new KedgeError("NOT_LEADER", "moved");
      yield { run: { ...run, state: RunState.SUCCEEDED } };
    },
  });
  server = await serve(identity, [service]);
  const states: RunState[] = [];
  const ended = await submitAndWait(connect(server), {}, { onChange: ({ state }) => states.push(state) });
  expect(ended.state).toBe(RunState.SUCCEEDED);
  expect(states).toEqual([RunState.RUNNING, RunState.RUNNING, RunState.SUCCEEDED]);
  expect(keys).toEqual([expect.stringMatching(/./), keys[0]]);
});

test("logs come once each after a reconnect, as whole lines", async () => {
  const text = new TextEncoder().encode("größe\nzwei\nrest");
  const chunk = (sequence: bigint, data: Uint8Array) => ({
    job: "build",
    chunk: { ref: { taskId: "t" }, sequence, step: "run-1", stream: LogStream.STDOUT, data },
  });
  let opened = 0;
  const service = runService({
    async *streamLogs() {
      yield chunk(1n, text.subarray(0, 3));
      if (++opened === 1) throw new KedgeError("NOT_LEADER", "moved");
      yield chunk(2n, text.subarray(3));
    },
  });
  server = await serve(identity, [service]);
  const lines: string[] = [];
  for await (const line of logLines(followLogs(connect(server), { runId: "r" }))) lines.push(line.text);
  expect(lines).toEqual(["größe", "zwei", "rest"]);
});

test("collect reads page after page, up to a limit", async () => {
  const service = runService({
    listRuns: async ({ pageToken }) => {
      const page = Number(pageToken || 0);
      return { runs: [{ id: `a${page}` }, { id: `b${page}` }], nextPageToken: page < 2 ? String(page + 1) : "" };
    },
  });
  server = await serve(identity, [service]);
  const { runs } = connect(server);
  const list = (pageToken: string) => runs.listRuns({ pageToken });
  expect((await collect(list, (page) => page.runs)).map((run) => run.id)).toEqual(["a0", "b0", "a1", "b1", "a2", "b2"]);
  expect(await collect(list, (page) => page.runs, 3)).toHaveLength(3);
});

test("a folder is pushed in small parts, sorted, and pulled back the same", async () => {
  const { pushed, client: to } = await serveRegistry();
  const progress: number[] = [];
  await pushModelFolder(to, await makeModel(), { model: "m" }, { onProgress: (p) => progress.push(p.doneBytes) });
  expect(pushed[0]?.part.case).toBe("header");
  const sizes = pushed.map(({ part }) => (part.case === "file" ? part.value.data.length : 0));
  expect(Math.max(...sizes)).toBeLessThanOrEqual(512 * 1024);
  expect([...contents(pushed).keys()]).toEqual(["empty", "sub/a.txt", "z.bin"]);
  expect(progress.at(-1)).toBe(1_300_005);

  const target = join(folder, "deep", "copy");
  await pullModel(to, { model: "m", folder: target });
  expect(await readFile(join(target, "sub", "a.txt"), "utf8")).toBe("hello");
  expect((await readFile(join(target, "z.bin"))).equals(Buffer.alloc(1_300_000, 7))).toBe(true);
  await expect(pullModel(to, { model: "m", folder: target })).rejects.toMatchObject({ reason: "INVALID_OPTION" });
  expect(await readdir(join(folder, "deep"))).toEqual(["copy"]);
});

test.each([
  ["changed bytes", (files: Map<string, Uint8Array>) => files.set("empty", Buffer.from("x"))],
  ["a file too few", (files: Map<string, Uint8Array>) => files.delete("z.bin")],
  ["a path that leads out", (files: Map<string, Uint8Array>) => files.set("../evil", Buffer.from("x"))],
])("a pull with %s is refused and leaves nothing", async (_name, tamper) => {
  const { client: to } = await serveRegistry(tamper);
  await pushModelFolder(to, await makeModel(), { model: "m" });
  const call = pullModel(to, { model: "m", folder: join(folder, "out", "copy") });
  await expect(call).rejects.toMatchObject({ reason: "DIGEST_MISMATCH" });
  expect(await readdir(join(folder, "out"))).toEqual([]);
});

test("links are followed inside the folder and refused when they lead out or round", async () => {
  const { client: to, pushed } = await serveRegistry();
  const model = await makeModel();
  await symlink("sub/a.txt", join(model, "inner"));
  await pushModelFolder(to, model, { model: "m" });
  expect(contents(pushed).has("inner")).toBe(true);
  await symlink("/etc/hostname", join(model, "outer"));
  await expect(pushModelFolder(to, model, { model: "m" })).rejects.toMatchObject({ reason: "INVALID_MODEL" });
  await rm(join(model, "outer"));
  await symlink(".", join(model, "sub", "round"));
  await expect(pushModelFolder(to, model, { model: "m" })).rejects.toMatchObject({ reason: "INVALID_MODEL" });
  const empty = join(folder, "nothing");
  await mkdir(empty);
  await expect(pushModelFolder(to, empty, { model: "m" })).rejects.toMatchObject({ reason: "INVALID_MODEL" });
});
