import { execFileSync } from "node:child_process";
import {
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { hexOf, readTree, sha256Of } from "@kedge/bus";
import { TREE_LIMITS } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import { TreeEntryKind, TreeEntrySchema } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cacheKey } from "./cache-key.ts";
import { findFiles, openInside } from "./find-files.ts";
import { LocalFileStore } from "./local-file-store.ts";
import { PackedTree } from "./packed-tree.ts";
import { pathGlobs } from "./path-globs.ts";
import { unpackTree } from "./unpack-tree.ts";

const { signal } = new AbortController();
let base: string;
let workspace: string;
let target: string;

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "kedge-files-"));
  workspace = join(base, "workspace");
  target = join(base, "target");
  await mkdir(workspace);
  await mkdir(target);
});
afterEach(() => rm(base, { recursive: true, force: true }));

async function put(path: string, content = path, mode = 0o644): Promise<void> {
  await mkdir(dirname(join(workspace, path)), { recursive: true });
  await writeFile(join(workspace, path), content, { mode });
}

const found = async (...globs: string[]) => (await findFiles(workspace, globs, signal)).files.map(({ path }) => path);

describe("what globs find", () => {
  beforeEach(async () => {
    for (const path of ["a.txt", "dist/a.js", "dist/tmp/b.js", "dist/sub/c.xml", "src/a.js"]) await put(path);
  });

  it.each([
    [["dist/**"], ["dist/a.js", "dist/sub/c.xml", "dist/tmp/b.js"]],
    [["dist"], ["dist/a.js", "dist/sub/c.xml", "dist/tmp/b.js"]],
    [["./dist/"], ["dist/a.js", "dist/sub/c.xml", "dist/tmp/b.js"]],
    [
      ["dist/**", "!dist/tmp/**"],
      ["dist/a.js", "dist/sub/c.xml"],
    ],
    [
      ["dist/**", "!dist/tmp"],
      ["dist/a.js", "dist/sub/c.xml"],
    ],
    [["**/*.js"], ["dist/a.js", "dist/tmp/b.js", "src/a.js"]],
    [["*/a.js"], ["dist/a.js", "src/a.js"]],
    [["d*"], ["dist/a.js", "dist/sub/c.xml", "dist/tmp/b.js"]],
    [["!dist/**"], ["a.txt", "src/a.js"]],
    [["a.txt", "!**", "src"], ["src/a.js"]],
    [["nothing/**"], []],
  ])("%j", async (globs, files) => {
    expect(await found(...globs)).toEqual(files);
  });

  it("looks only where something can fit", () => {
    expect(pathGlobs(["dist/**", "dist/sub/*.xml", "src/a.js", "!b"]).roots).toEqual(["dist", "src/a.js"]);
    expect(pathGlobs(["**/x", "dist"]).roots).toEqual([""]);
  });

  it("never follows links, and passes over those that lead out", async () => {
    await writeFile(join(base, "secret"), "secret");
    await symlink("a.js", join(workspace, "dist/good"));
    await symlink("../src", join(workspace, "dist/folder"));
    await symlink("../../secret", join(workspace, "dist/out"));
    await symlink(join(base, "secret"), join(workspace, "dist/absolute"));
    await symlink(base, join(workspace, "up"));
    execFileSync("mkfifo", [join(workspace, "dist/pipe")]);
    const { files, skipped } = await findFiles(workspace, ["dist/**", "up", "up/**"], signal);
    expect(files.filter(({ kind }) => kind === TreeEntryKind.LINK).map(({ path }) => path)).toEqual([
      "dist/folder",
      "dist/good",
    ]);
    expect(files.map(({ path }) => path)).not.toContain("dist/folder/a.js");
    expect(skipped.toSorted()).toEqual([
      expect.stringMatching(/absolute.*leads out/),
      expect.stringMatching(/out.*leads out/),
      expect.stringMatching(/pipe.*neither/),
      expect.stringMatching(/up.*leads out/),
    ]);
    expect(await found("up/secret")).toEqual([]);
  });

  it("does not open what has become a link", async () => {
    await rm(join(workspace, "a.txt"));
    await symlink("dist/a.js", join(workspace, "a.txt"));
    await expect(openInside(workspace, "a.txt")).rejects.toThrow("cannot be read");
    await rm(join(workspace, "src"), { recursive: true });
    await symlink(join(base, "workspace/dist"), join(workspace, "src"));
    await expect(openInside(workspace, "src/a.js")).rejects.toThrow("no longer the file");
  });
});

describe("a tree", () => {
  const store = () => new LocalFileStore(join(base, "store"), "p", systemClock);

  async function roundTrip(...globs: string[]) {
    const { files } = await findFiles(workspace, globs, signal);
    const tree = await PackedTree.pack([{ folder: workspace, files }], signal);
    const to = store();
    const stored = await to.putArtifact("a", tree, signal);
    const readChunk = (sha256: string) => to.readChunk(sha256);
    const { entries } = await readTree(stored.value.digest, readChunk);
    await unpackTree({ entries, readChunk, root: target, folder: "in", signal });
    return stored;
  }

  it("comes back as it was: content, modes, links, empty folders", async () => {
    const big = Buffer.alloc(TREE_LIMITS.chunkBytes * 2 + 17, "k");
    await put("run", "#!/bin/sh", 0o775);
    await put("data/big", big.toString("latin1"));
    await put("data/empty", "");
    await mkdir(join(workspace, "data/folder"));
    await symlink("../run", join(workspace, "data/link"));
    const { value, newBytes } = await roundTrip("**");
    expect(value).toMatchObject({ files: 3, bytes: BigInt(big.length + 9) });
    expect(newBytes).toBe(BigInt(TREE_LIMITS.chunkBytes + 17 + 9));
    const at = (path: string) => join(target, "in", path);
    expect((await readFile(at("data/big"))).equals(big)).toBe(true);
    expect((await stat(at("run"))).mode & 0o777).toBe(0o755);
    expect((await stat(at("data/big"))).mode & 0o777).toBe(0o644);
    expect((await stat(at("data/empty"))).size).toBe(0);
    expect(await readdir(at("data/folder"))).toEqual([]);
    expect(await readlink(at("data/link"))).toBe("../run");
    expect((await roundTrip("**")).newBytes).toBe(0n);
  });

  it("replaces files that are there, and writes through none of them", async () => {
    await put("a", "new");
    await writeFile(join(base, "outside"), "old");
    await mkdir(join(target, "in"));
    await link(join(base, "outside"), join(target, "in/a"));
    await roundTrip("a");
    expect(await readFile(join(target, "in/a"), "utf8")).toBe("new");
    expect(await readFile(join(base, "outside"), "utf8")).toBe("old");
    await rm(join(target, "in/a"));
    await symlink(join(base, "outside"), join(target, "in/a"));
    await roundTrip("a");
    expect((await lstat(join(target, "in/a"))).isFile()).toBe(true);
    expect(await readFile(join(base, "outside"), "utf8")).toBe("old");
  });

  it("is not stored when a file changes meanwhile", async () => {
    await put("a", "first");
    const { files } = await findFiles(workspace, ["a"], signal);
    const tree = await PackedTree.pack([{ folder: workspace, files }], signal);
    await put("a", "other");
    await expect(store().putArtifact("a", tree, signal)).rejects.toThrow("a changed while it was being stored");
    await put("a", "longer than before");
    const again = PackedTree.pack(
      [{ folder: workspace, files: files.map((file) => ({ ...file, sizeBytes: 99 })) }],
      signal,
    );
    await expect(again).rejects.toThrow("changed while");
  });
});

describe("a hostile tree", () => {
  const bytes = Buffer.from("evil");
  const evil = { size: 4n, sha256: sha256Of(bytes), chunks: [sha256Of(bytes)] };
  const readChunk = (sha256: string) =>
    Promise.resolve(sha256 === hexOf(sha256Of(bytes)) ? bytes : Buffer.from("other"));
  const unpack = (entries: MessageInitShape<typeof TreeEntrySchema>[], folder = "") =>
    unpackTree({ entries: entries.map((it) => create(TreeEntrySchema, it)), readChunk, root: target, folder, signal });
  const link = (path: string, to: string) => ({ path, kind: TreeEntryKind.LINK, target: to });

  it.each([
    ["a way out", [{ path: "../evil", ...evil }]],
    ["a deep way out", [{ path: "a/../../evil", ...evil }]],
    ["an absolute path", [{ path: "/tmp/evil", ...evil }]],
    ["a link out", [link("a", "../..")]],
    ["an absolute link", [link("a", "/etc")]],
    ["a file below a link", [link("a", "b"), { path: "a/evil", ...evil }]],
    [
      "a file twice",
      [
        { path: "a", ...evil },
        { path: "a", ...evil },
      ],
    ],
    ["a backslash", [{ path: "..\\evil", ...evil }]],
    ["a device", [{ path: "a", kind: 7 as TreeEntryKind }]],
  ])("is refused before anything is written: %s", async (_, entries) => {
    await expect(unpack(entries)).rejects.toMatchObject({ reason: "INVALID_TREE" });
    expect(await readdir(target)).toEqual([]);
    expect((await readdir(base)).toSorted()).toEqual(["target", "workspace"]);
  });

  it("does not write through links that are there already", async () => {
    await symlink(workspace, join(target, "a"));
    await expect(unpack([{ path: "a/evil", ...evil }])).rejects.toThrow("a is in the way");
    await expect(unpack([{ path: "evil", ...evil }], "a")).rejects.toThrow("a is in the way");
    await expect(unpack([{ path: "evil", ...evil }], "a/b")).rejects.toThrow("a is in the way");
    expect(await readdir(workspace)).toEqual([]);
  });

  it("is refused when content is not what was said", async () => {
    const wrong = sha256Of(Buffer.from("other"));
    await expect(unpack([{ path: "a", ...evil, chunks: [wrong] }])).rejects.toThrow("other content than its digest");
    await expect(unpack([{ path: "b", ...evil, size: 5n }])).rejects.toThrow("other content than its digest");
  });

  it("does not put a file in the place of a folder, or the other way round", async () => {
    await mkdir(join(target, "a"));
    await expect(unpack([{ path: "a", ...evil }])).rejects.toThrow("it is a folder");
    await writeFile(join(target, "b"), "");
    await expect(unpack([{ path: "b/c", ...evil }])).rejects.toThrow("it is no folder");
  });
});

describe("the key of a cache", () => {
  it("follows names and contents of files, and nothing else", async () => {
    await put("package-lock.json", "1");
    await put("sub/package-lock.json", "2");
    const key = () => cacheKey(`npm-\${{ hash('**/package-lock.json') }}-x`, workspace, signal);
    const first = await key();
    expect(first).toMatch(/^npm-[0-9a-f]{64}-x$/);
    await put("other", "3");
    await writeFile(join(workspace, "package-lock.json"), "1", { mode: 0o600 });
    expect(await key()).toBe(first);
    await put("sub/package-lock.json", "3");
    expect(await key()).not.toBe(first);
    expect(await cacheKey(`plain \${{ run.x }}`, workspace, signal)).toBe(`plain \${{ run.x }}`);
  });
});
