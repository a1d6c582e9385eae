import { createHash } from "node:crypto";
import { hashedGlobs, tokenise } from "@kedge/pipeline";
import { TreeEntryKind } from "@kedge/proto";
import { findFiles, openInside } from "./find-files.ts";

/**
 * Fills `hash('glob', ...)` in the key of a cache: the digest of the files that fit, by path and content, in the order of their
 * paths. The same files have the same digest on every node.
 */
export async function cacheKey(text: string, workspace: string, signal: AbortSignal): Promise<string> {
  const parts = tokenise(text).map((token) => {
    if (token.kind === "text") return token.text;
    const globs = token.kind === "lookup" ? hashedGlobs(token.name) : undefined;
    // Everything else was filled in by the controller; what is left is text that looks like an expression.
    return globs === undefined ? token.source : hashFiles(workspace, globs, signal);
  });
  return (await Promise.all(parts)).join("");
}

async function hashFiles(workspace: string, globs: readonly string[], signal: AbortSignal): Promise<string> {
  const { files } = await findFiles(workspace, globs, signal);
  const whole = createHash("sha256");
  for (const { path, kind } of files) {
    if (kind !== TreeEntryKind.FILE) continue;
    await using handle = await openInside(workspace, path);
    const content = createHash("sha256");
    for await (const block of handle.createReadStream({ autoClose: false, signal })) content.update(block);
    whole.update(`${path}\0${content.digest("hex")}\n`);
  }
  return whole.digest("hex");
}
