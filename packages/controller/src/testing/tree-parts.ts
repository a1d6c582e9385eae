import { create } from "@bufbuild/protobuf";
import { encodeTree, sha256Of } from "@kedge/bus";
import { TREE_LIMITS } from "@kedge/domain";
import { TreeEntryKind, TreeEntrySchema } from "@kedge/proto";

/** A tree of files as an agent would send it. */
export interface TestTree {
  readonly digest: string;
  /** Of the files, in order. */
  readonly chunks: readonly Uint8Array[];
  /** What describes them; the root is last. */
  readonly description: readonly Uint8Array[];
}

/** Makes a tree of files with these contents. */
export function treeOf(contents: Readonly<Record<string, string | Uint8Array>>): TestTree {
  const chunks: Uint8Array[] = [];
  const entries = Object.entries(contents).map(([path, content]) => {
    const bytes = Buffer.from(content);
    const own: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += TREE_LIMITS.chunkBytes)
      own.push(bytes.subarray(at, at + TREE_LIMITS.chunkBytes));
    chunks.push(...own);
    const what = { size: BigInt(bytes.length), sha256: sha256Of(bytes), chunks: own.map(sha256Of) };
    return create(TreeEntrySchema, { path, kind: TreeEntryKind.FILE, ...what });
  });
  const { digest, parts, root } = encodeTree(entries.toSorted((a, b) => (a.path < b.path ? -1 : 1)));
  return { digest, chunks, description: [...parts, root] };
}

/** The stream of an upload: header, the given chunks of files, and the description. */
export async function* uploadOf<H>(header: H, tree: TestTree, chunks = tree.chunks) {
  yield { part: { case: "header" as const, value: header } };
  for (const value of [...chunks, ...tree.description]) yield { part: { case: "chunk" as const, value } };
}
