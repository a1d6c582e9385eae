import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ModelManifestSchema } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { assertManifest } from "./manifest-rules.ts";
import { ModelCache } from "./model-cache.ts";

const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const signal = new AbortController().signal;

describe("ModelCache", () => {
  let dir = "";
  let fetched: string[] = [];
  const chunks = new Map<string, Uint8Array>();
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "kedge-cache-"));
    fetched = [];
    chunks.clear();
  });
  afterEach(() => rm(dir, { recursive: true }));

  const open = () =>
    new ModelCache({
      dir,
      getChunk: (digest) => {
        fetched.push(digest);
        const bytes = chunks.get(digest);
        return bytes === undefined ? Promise.reject(new Error("no such chunk")) : Promise.resolve(bytes);
      },
      openManifest: (bytes) => fromBinary(ModelManifestSchema, bytes),
    });
  const put = (bytes: Uint8Array): string => {
    chunks.set(sha(bytes), bytes);
    return sha(bytes);
  };
  const file = (path: string, content: string, pieces = 3) => {
    const bytes = Buffer.from(content);
    const size = Math.max(1, Math.ceil(bytes.length / pieces));
    const list = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      put(bytes.subarray(i * size, (i + 1) * size)),
    );
    return { path, size: BigInt(bytes.length), sha256: sha(bytes), chunks: list };
  };
  const manifest = (files: MessageInitShape<typeof ModelManifestSchema>["files"]) =>
    put(toBinary(ModelManifestSchema, create(ModelManifestSchema, { model: "m", files: files ?? [] })));

  it("lays a model out, and fetches only files it lacks", async () => {
    const cache = open();
    const shared = file("weights/w.bin", "0123456789".repeat(50), 30);
    const first = await cache.ensure(manifest([shared, file("a.txt", "one")]), signal);
    expect(await readFile(join(first, "weights", "w.bin"), "utf8")).toBe("0123456789".repeat(50));
    fetched = [];
    const digest = manifest([shared, file("a.txt", "two")]);
    const second = await cache.ensure(digest, signal);
    expect(fetched.some((each) => shared.chunks.includes(each))).toBe(false);
    expect(await readFile(join(second, "a.txt"), "utf8")).toBe("two");
    fetched = [];
    await open().ensure(digest, signal);
    expect(fetched).toEqual([]);
    await cache.prune(new Set([digest]));
    expect([existsSync(first), existsSync(second)]).toEqual([false, true]);
  });

  it("shares one fetch, and leaves nothing behind when a chunk lies", async () => {
    const cache = open();
    const bad = { ...file("a", "content"), sha256: sha(Buffer.from("other")) };
    const digest = manifest([bad]);
    const both = await Promise.allSettled([cache.ensure(digest, signal), cache.ensure(digest, signal)]);
    expect(both.map((each) => each.status)).toEqual(["rejected", "rejected"]);
    expect(fetched.filter((each) => each === digest)).toHaveLength(1);
    chunks.set(digest, Buffer.from("something else"));
    await expect(cache.ensure(digest, signal)).rejects.toMatchObject({ reason: "DIGEST_MISMATCH" });
    expect(await cache.list()).toEqual([]);
  });

  it.each(["/etc/x", "../x", "a/../b", "a//b", ".", "", "a\\b", "a\0b"])("refuses the path %j", (path) => {
    const bad = create(ModelManifestSchema, { files: [{ path, sha256: "0".repeat(64) }] });
    expect(() => assertManifest(bad)).toThrow("is not a path");
  });

  it("refuses a file that is a folder too", () => {
    const files = ["a", "a/b"].map((path) => ({ path, sha256: "0".repeat(64) }));
    expect(() => assertManifest(create(ModelManifestSchema, { files }))).toThrow("both a file and a folder");
  });
});
