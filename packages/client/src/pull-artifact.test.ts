import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { chunkSequence, comparePaths } from "@kedge/domain";
import {
  ArtifactSchema,
  FileTreeSchema,
  type GetArtifactRequest,
  type GetArtifactResponse,
  GetArtifactResponseSchema,
  TreeEntrySchema,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createKedgeClient, type KedgeClient } from "./client.ts";
import { pullArtifact } from "./pull-artifact.ts";

const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const zeros = Buffer.alloc(262_144);
const packed = Buffer.from("onetwothree");
const big = Buffer.concat([zeros, zeros, Buffer.from("end")]);
const whole = (path: string, bytes: Buffer, chunks: Buffer[]) =>
  create(TreeEntrySchema, { path, size: BigInt(bytes.length), sha256: sha(bytes), chunks: chunks.map(sha) });
const part = (path: string, offset: number, length: number) => {
  const bytes = packed.subarray(offset, offset + length);
  return create(TreeEntrySchema, { path, size: BigInt(length), sha256: sha(bytes), chunks: [sha(packed)], offset });
};
const entries = [
  part("a/1", 0, 3),
  part("a/2", 3, 3),
  whole("b", big, [zeros, zeros, Buffer.from("end")]),
  whole("c", zeros, [zeros]),
  whole("d", Buffer.alloc(0), []),
  part("e", 6, 5),
].toSorted((x, y) => comparePaths(x.path, y.path));
const contents = new Map([packed, zeros, Buffer.from("end")].map((bytes) => [sha(bytes).toString("hex"), bytes]));
const artifact = create(ArtifactSchema, { name: "dist", digest: "ab".repeat(32), files: 6 });

let folder: string;
let asked: bigint[];
let client: KedgeClient;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-pull-"));
  asked = [];
  const real = createKedgeClient({ address: "127.0.0.1:1", token: "" });
  client = { ...real, artifacts: { ...real.artifacts, getArtifact: answer } };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** What the server's rules make of a request. */
async function* answer(request: Partial<GetArtifactRequest>) {
  const { treeOnly = false, skipChunks = 0n } = request;
  const response = (part: GetArtifactResponse["part"]) => create(GetArtifactResponseSchema, { part });
  yield response({ case: "artifact", value: artifact });
  yield response({ case: "tree", value: create(FileTreeSchema, { entries }) });
  if (treeOnly) return;
  asked.push(skipChunks);
  for (const chunk of chunkSequence(entries).chunks.slice(Number(skipChunks))) {
    yield response({ case: "chunk", value: contents.get(Buffer.from(chunk).toString("hex")) ?? chunk });
  }
}

const target = () => ({ runId: "r", job: "build", name: "dist", folder: join(folder, "out") });
const staging = () => join(folder, `.out.${"ab".repeat(8)}.part`);

async function expectAll(): Promise<void> {
  const read = (path: string) => readFile(join(folder, "out", path));
  expect([`${await read("a/1")}`, `${await read("a/2")}`, `${await read("e")}`]).toEqual(["one", "two", "three"]);
  expect([(await read("b")).equals(big), (await read("c")).equals(zeros), (await read("d")).length]).toEqual([
    true,
    true,
    0,
  ]);
  expect(await readdir(folder)).toEqual(["out"]);
}

test("equal chunks in a row are sent once, and small files take their part of one", async () => {
  expect(chunkSequence(entries).chunks).toHaveLength(5);
  await pullArtifact(client, target());
  expect(asked).toEqual([0n]);
  await expectAll();
});

test.each([
  ["nothing whole", { "a/1": 2 }, 0n],
  ["a part of a shared chunk", { "a/1": 3 }, 0n],
  ["all of a shared chunk", { "a/1": 3, "a/2": 3 }, 1n],
  ["the first of two equal chunks", { "a/1": 3, "a/2": 3, b: 262_144 }, 1n],
  ["all but the end of a file", { "a/1": 3, "a/2": 3, b: 524_288 + 1 }, 2n],
  ["a later file, but not an earlier one", { "a/1": 0, "a/2": 3, b: 524_291, c: 262_144 }, 0n],
  ["all", { "a/1": 3, "a/2": 3, b: 524_291, c: 262_144, d: 0, e: 5 }, undefined],
])("goes on behind %s", async (_, sizes, from) => {
  await pullArtifact(client, target());
  asked.length = 0;
  const saved = await Promise.all(Object.keys(sizes).map((path) => readFile(join(folder, "out", path))));
  await rm(join(folder, "out"), { recursive: true });
  for (const [i, [path, size]] of Object.entries(sizes).entries()) {
    await mkdir(dirname(join(staging(), path)), { recursive: true });
    await writeFile(join(staging(), path), saved[i] ?? "");
    await truncate(join(staging(), path), size);
  }
  await pullArtifact(client, target());
  expect(asked).toEqual(from === undefined ? [] : [from]);
  await expectAll();
});

test("what an earlier download left that is wrong is found, and the next one is right", async () => {
  await mkdir(staging(), { recursive: true });
  await writeFile(join(staging(), "c"), Buffer.alloc(262_144, "x"));
  await expect(pullArtifact(client, target())).rejects.toMatchObject({ reason: "DIGEST_MISMATCH" });
  await pullArtifact(client, target());
  await expectAll();
});

test("a folder that holds something is left alone", async () => {
  await mkdir(join(folder, "out"));
  await writeFile(join(folder, "out", "mine"), "");
  await expect(pullArtifact(client, target())).rejects.toMatchObject({ reason: "INVALID_OPTION" });
  expect(asked).toEqual([]);
});
