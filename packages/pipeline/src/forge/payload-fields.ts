import { z } from "zod";
import type { ForgeEvent } from "./forge-event.ts";

// Fields that payloads of several forges have. Everything that is not named here is not looked at.

const MAX_CHANGED = 3_000;
const MAX_PATH = 4_096;

/** A short text such as a name. */
export const name = z.string().max(500);

/** Full id of a commit, or zeros. */
export const objectId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);

/** Somebody with an account. */
export const account = z.object({ login: name.min(1) });

const paths = z.array(z.string()).nullish();

/** A commit of a push: only what files it touched. Who made it is anybody's word. */
export const pushedCommit = z.object({ added: paths, removed: paths, modified: paths });

/** A list of commits; its length is checked by whoever reads it. */
export const pushedCommits = z.array(pushedCommit).nullish();

/** All paths that the commits touched, once each; undefined when that is too much to hold, or `isComplete` is not set. */
export function changedPaths(
  commits: readonly z.output<typeof pushedCommit>[],
  isComplete: boolean,
): readonly string[] | undefined {
  if (!isComplete || commits.length === 0) return undefined;
  const found = new Set<string>();
  for (const { added, removed, modified } of commits) {
    for (const path of [...(added ?? []), ...(removed ?? []), ...(modified ?? [])]) {
      if (path.length > MAX_PATH || found.size >= MAX_CHANGED) return undefined;
      found.add(path);
    }
  }
  return found.size === 0 ? undefined : [...found];
}

/** Tells whether an object id stands for nothing: the branch was not there, or is gone. */
export function isZero(id: string): boolean {
  return /^0+$/.test(id);
}

/** The branch or tag of a full ref; undefined for other refs. */
export function refOf(ref: string): { readonly branch: string; readonly tag: string } | undefined {
  const match = /^refs\/(heads|tags)\/(.+)$/s.exec(ref);
  if (match === null) return undefined;
  const [, kind, short = ""] = match;
  return kind === "heads" ? { branch: short, tag: "" } : { branch: "", tag: short };
}

/** Reads a payload; what is missing or of another type is named. */
export function read<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
  use: (fields: z.output<Schema>) => ForgeEvent,
): ForgeEvent {
  const parsed = schema.safeParse(body);
  if (parsed.success) return use(parsed.data);
  const [issue] = parsed.error.issues;
  const place = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.map(String).join(".");
  return malformed(`${place.slice(0, 200)} is missing or not what it should be`);
}

/** The event that starts nothing. */
export function nothing(why: string): ForgeEvent {
  return { kind: "nothing", why };
}

/** The event that makes no sense. */
export function malformed(why: string): ForgeEvent {
  return { kind: "malformed", why };
}
