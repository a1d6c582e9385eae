import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TreeEntryKind, TreeEntrySchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkTree, comparePaths, isInnerLink, isTreePath, lookAlikes, TREE_LIMITS } from "./file-tree.ts";

const { FILE, FOLDER, LINK } = TreeEntryKind;
const digest = new Uint8Array(32);

function entry(path: string, more: MessageInitShape<typeof TreeEntrySchema> = {}) {
  const isFile = (more.kind ?? FILE) === FILE;
  return create(TreeEntrySchema, { path, kind: FILE, ...(isFile ? { sha256: digest } : {}), ...more });
}

describe("paths of a tree", () => {
  it.each(["a", "a/b.c", ".npm/x", "a b/ö:1", "...", "-rf"])("takes %j", (path) => {
    expect(isTreePath(path)).toBe(true);
  });

  it.each(["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\0b", "a\nb", "x".repeat(256)])(
    "refuses %j",
    (path) => {
      expect(isTreePath(path)).toBe(false);
    },
  );

  it.each([
    ["a", "b", true],
    ["bin/x", "../lib/x", true],
    ["a/b/c", "../../d", true],
    ["a/b", "..", true],
    ["a", "..", false],
    ["a/b", "../../c", false],
    ["a", "/etc/passwd", false],
    ["a", "", false],
    // The folder `d` could be a link to somewhere higher.
    ["a/b", "d/../c", false],
    ["a", "b/", false],
  ])("link %j to %j", (path, target, inner) => {
    expect(isInnerLink(path, target)).toBe(inner);
  });

  it("no accepted link leads out, whatever other accepted links it passes", () => {
    const name = fc.constantFrom("a", "b", "c");
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
    const target = fc
      .array(fc.constantFrom("a", "b", "c", ".."), { minLength: 1, maxLength: 5 })
      .map((p) => p.join("/"));
    fc.assert(
      fc.property(fc.dictionary(path, target, { maxKeys: 6 }), (wanted) => {
        const paths = Object.keys(wanted);
        const links = new Map(
          Object.entries(wanted).filter(
            ([from, to]) => isInnerLink(from, to) && !paths.some((other) => from.startsWith(`${other}/`)),
          ),
        );
        for (const from of links.keys()) expect(staysInside(from, links)).toBe(true);
      }),
    );
  });
});

/** Follows a path as a kernel does; the root's parent is outside. */
function staysInside(from: string, links: ReadonlyMap<string, string>): boolean {
  const todo = from.split("/");
  const at: string[] = [];
  for (let step = 0; step < 40; step++) {
    const part = todo.shift();
    if (part === undefined) return true;
    if (part !== "..") at.push(part);
    else if (at.pop() === undefined) return false;
    const target = links.get(at.join("/"));
    if (target === undefined) continue;
    at.pop();
    todo.unshift(...target.split("/"));
  }
  return true;
}

describe("trees", () => {
  it("adds up files", () => {
    const chunks = [digest, digest];
    const entries = [
      entry("a/b", { size: BigInt(TREE_LIMITS.chunkBytes + 1), chunks }),
      entry("a/c", { kind: LINK, target: "b" }),
      entry("a.b", { size: 3n, chunks: [digest] }),
      entry("d", { kind: FOLDER }),
      entry("e"),
    ];
    expect(checkTree(entries)).toEqual({ bytes: BigInt(TREE_LIMITS.chunkBytes + 4), files: 3 });
  });

  it.each([
    ["out of it", [entry("../a")]],
    ["there twice", [entry("a"), entry("a")]],
    ["not in order", [entry("b"), entry("a")]],
    ["is below", [entry("a"), entry("a/b")]],
    ["is below", [entry("a", { kind: LINK, target: "b" }), entry("a/b")]],
    ["leads out", [entry("a", { kind: LINK, target: "../b" })]],
    ["1 were expected", [entry("a", { size: 1n })]],
    ["digest that is none", [entry("a", { sha256: new Uint8Array(31) })]],
    ["digest that is none", [entry("a", { size: 1n, chunks: [new Uint8Array()] })]],
    ["has content", [entry("a", { kind: FOLDER, size: 1n })]],
    ["not known here", [entry("a", { kind: 9 as TreeEntryKind })]],
  ])("refuses what is %s", (message, entries) => {
    const what = message === "out of it" ? "not a relative path" : message;
    expect(() => checkTree(entries)).toThrow(
      expect.objectContaining({ reason: "INVALID_TREE", message: expect.stringContaining(what) }),
    );
  });

  it("refuses what is too large", () => {
    const bytes = BigInt(TREE_LIMITS.bytes) + 1n;
    const chunks = Array.from({ length: Number(bytes / BigInt(TREE_LIMITS.chunkBytes)) + 1 }, () => digest);
    expect(() => checkTree([entry("a", { size: bytes, chunks })])).toThrow(
      expect.objectContaining({ reason: "TOO_LARGE" }),
    );
  });

  it("keeps a folder's entries together", () => {
    expect(["a.b", "a/b", "a", "a-b", "a/b/c"].toSorted(comparePaths)).toEqual(["a", "a/b", "a/b/c", "a-b", "a.b"]);
  });

  it("finds names that some disks do not tell apart", () => {
    const alike = lookAlikes([entry("A"), entry("a"), entry("b"), entry("\u00e9"), entry("e\u0301")]);
    expect([...alike]).toEqual([
      ["a", "A"],
      ["e\u0301", "\u00e9"],
    ]);
  });
});
