import { SourceEvent } from "@kedge/proto";
import { z } from "zod";
import { type ForgeEvent, PLAIN } from "./forge-event.ts";
import {
  account,
  changedPaths,
  isZero,
  name,
  nothing,
  objectId,
  pushedCommits,
  read,
  refOf,
} from "./payload-fields.ts";

// Payloads of GitHub, and of Gitea and Forgejo, which follow it.

/** GitHub lists so many commits of a push at most. */
const MAX_COMMITS = 2_048;

const push = z.object({
  ref: name,
  before: objectId,
  after: objectId,
  forced: z.boolean().nullish(),
  commits: pushedCommits,
  repository: z.object({ full_name: name }),
  sender: account,
});

const side = z.object({
  ref: name.min(1),
  sha: objectId,
  // A repository that was deleted since is null.
  repo: z.object({ id: z.number(), full_name: name }).nullish(),
});

const pullRequest = z.object({
  action: name,
  number: z.number().int().positive().max(Number.MAX_SAFE_INTEGER),
  changes: z.object({ base: z.object({}).nullish() }).nullish(),
  pull_request: z.object({ head: side, base: side, user: account }),
  repository: z.object({ id: z.number(), full_name: name }),
  sender: account,
});

/** What brings new commits, in the words of GitHub and of Gitea. */
const ACTIONS: ReadonlySet<string> = new Set(["opened", "reopened", "synchronize", "synchronized"]);

/** Which forge's customs hold. */
export interface Customs {
  /** Pushes tell all paths that changed, or that they do not. */
  readonly listsChanges: boolean;
}

/** Reads a payload of GitHub's form; `event` is what its header says. */
export function parseGithubEvent(event: string, body: unknown, customs: Customs): ForgeEvent {
  switch (event) {
    case "push":
      return read(push, body, (fields) => pushEvent(fields, customs));
    case "pull_request":
      return read(pullRequest, body, pullRequestEvent);
    case "ping":
      return nothing("a ping");
    default:
      return nothing(`events of kind ${JSON.stringify(event.slice(0, 80))} start nothing`);
  }
}

function pushEvent(fields: z.output<typeof push>, { listsChanges }: Customs): ForgeEvent {
  const { before, after, commits } = fields;
  const ref = refOf(fields.ref);
  if (ref === undefined) return nothing(`${JSON.stringify(fields.ref.slice(0, 80))} is neither a branch nor a tag`);
  if (isZero(after)) return nothing(`${ref.tag === "" ? "branch" : "tag"} was deleted`);
  const listed = commits ?? [];
  // A forced push takes commits away, which are not listed.
  const isWhole = listsChanges && listed.length < MAX_COMMITS && fields.forced === false && !isZero(before);
  return {
    kind: "change",
    change: {
      ...PLAIN,
      ...ref,
      event: ref.tag === "" ? SourceEvent.PUSH : SourceEvent.TAG,
      repository: fields.repository.full_name,
      commit: after,
      before: isZero(before) ? "" : before,
      sender: fields.sender.login,
      changed: changedPaths(listed, isWhole),
    },
  };
}

function pullRequestEvent(fields: z.output<typeof pullRequest>): ForgeEvent {
  const { action, number, sender, repository } = fields;
  const { head, base, user } = fields.pull_request;
  const isRetargeted = action === "edited" && fields.changes?.base !== undefined && fields.changes.base !== null;
  if (!ACTIONS.has(action) && !isRetargeted) {
    return nothing(`a pull request that is ${JSON.stringify(action.slice(0, 80))} starts nothing`);
  }
  return {
    kind: "change",
    change: {
      ...PLAIN,
      event: SourceEvent.PULL_REQUEST,
      repository: repository.full_name,
      commit: head.sha,
      before: "",
      branch: head.ref,
      pullRequest: number,
      baseBranch: base.ref,
      // Who does not know where it comes from takes it for a stranger's.
      fork: head.repo?.id !== repository.id,
      sender: sender.login,
      isOwn: sender.login === user.login && action !== "reopened",
      changed: undefined,
    },
  };
}
