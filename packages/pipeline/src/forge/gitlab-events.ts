import { SourceEvent } from "@kedge/proto";
import { z } from "zod";
import { type ForgeEvent, PLAIN } from "./forge-event.ts";
import { isZero, name, nothing, objectId, read, refOf } from "./payload-fields.ts";

const project = z.object({ id: z.number(), path_with_namespace: name });

const push = z.object({
  ref: name,
  before: objectId,
  after: objectId,
  // The commit that a tag names; null when the ref is gone.
  checkout_sha: objectId.nullish(),
  user_username: name.min(1),
  project,
});

const mergeRequest = z.object({
  user: z.object({ id: z.number(), username: name.min(1) }),
  project,
  object_attributes: z.object({
    iid: z.number().int().positive().max(Number.MAX_SAFE_INTEGER),
    action: name.nullish(),
    // Set when an update brings commits.
    oldrev: name.nullish(),
    author_id: z.number(),
    source_branch: name.min(1),
    target_branch: name.min(1),
    source_project_id: z.number().nullish(),
    target_project_id: z.number(),
    last_commit: z.object({ id: objectId }),
  }),
  changes: z.object({ target_branch: z.object({}).nullish() }).nullish(),
});

const ACTIONS: ReadonlySet<string> = new Set(["open", "reopen"]);

/** Reads a payload of GitLab, which says of what kind it is in its body as well. */
export function parseGitlabEvent(event: string, body: unknown): ForgeEvent {
  switch (event) {
    case "Push Hook":
    case "Tag Push Hook":
      return read(push, body, pushEvent);
    case "Merge Request Hook":
      return read(mergeRequest, body, mergeRequestEvent);
    default:
      return nothing(`events of kind ${JSON.stringify(event.slice(0, 80))} start nothing`);
  }
}

function pushEvent(fields: z.output<typeof push>): ForgeEvent {
  const { before, after, checkout_sha: checkoutSha } = fields;
  const ref = refOf(fields.ref);
  if (ref === undefined) return nothing(`${JSON.stringify(fields.ref.slice(0, 80))} is neither a branch nor a tag`);
  if (isZero(after)) return nothing(`${ref.tag === "" ? "branch" : "tag"} was deleted`);
  return {
    kind: "change",
    change: {
      ...PLAIN,
      ...ref,
      event: ref.tag === "" ? SourceEvent.PUSH : SourceEvent.TAG,
      repository: fields.project.path_with_namespace,
      commit: checkoutSha ?? after,
      before: isZero(before) ? "" : before,
      sender: fields.user_username,
      // At most 20 commits are listed, and nothing says when a push was forced.
      changed: undefined,
    },
  };
}

function mergeRequestEvent({ user, project: of, object_attributes: it, changes }: z.output<typeof mergeRequest>) {
  const isRetargeted = changes?.target_branch !== undefined && changes.target_branch !== null;
  const hasNews = it.action === "update" && ((it.oldrev ?? "") !== "" || isRetargeted);
  if (!ACTIONS.has(it.action ?? "") && !hasNews) {
    return nothing(
      `a merge request with ${JSON.stringify((it.action ?? "no action").slice(0, 80))} has no new commits`,
    );
  }
  return {
    kind: "change",
    change: {
      ...PLAIN,
      event: SourceEvent.PULL_REQUEST,
      repository: of.path_with_namespace,
      commit: it.last_commit.id,
      before: "",
      branch: it.source_branch,
      pullRequest: it.iid,
      baseBranch: it.target_branch,
      fork: it.source_project_id !== it.target_project_id,
      sender: user.username,
      isOwn: user.id === it.author_id && it.action !== "reopen",
      changed: undefined,
    },
  } satisfies ForgeEvent;
}
