import { create } from "@bufbuild/protobuf";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { asksForNoRuns, type ForgeChange } from "@kedge/pipeline/forge";
import { type Repository, type Source, SourceEvent, SourceSchema } from "@kedge/proto";
import { isCommitId, isRefName } from "@kedge/runtime/git";
import type { Clone } from "./git-cache.ts";
import { defaultBranchOf, pullRequestRef } from "./repository-defaults.ts";

/** A change with everything that git knows of it. */
export interface ReadChange {
  readonly source: Source;
  /** Commit whose pipeline files count. */
  readonly filesAt: string;
  /** The head commit asks for no runs. */
  readonly isSkipped: boolean;
}

/**
 * Completes what a forge told of a change by what its commits say. Everything is fetched from the repository itself, never
 * from an address in the message.
 *
 * @throws KedgeError INVALID_FIELD for names that no branch has, GIT_FAILED, TIMEOUT.
 */
export async function readChange(change: ForgeChange, repository: Repository, clone: Clone): Promise<ReadChange> {
  for (const [field, name] of Object.entries({ branch: change.branch, tag: change.tag, base: change.baseBranch })) {
    if (name !== "" && !isRefName(name))
      throw new KedgeError("INVALID_FIELD", `${field} is no name for git`, { field });
  }
  const commit = await clone.fetchCommit(change.commit, refOf(change, repository));
  const base = change.event === SourceEvent.PULL_REQUEST ? await clone.fetchBranch(change.baseBranch) : undefined;
  const changed = change.changed ?? (await changedPaths({ change, commit, base }, repository, clone));
  const { message, author } = await clone.describe(commit);
  const source = create(SourceSchema, {
    repository: repository.url,
    repositoryName: repository.name,
    commit,
    ref: change.tag || change.branch,
    branch: change.branch,
    tag: change.tag,
    event: change.event,
    pullRequest: BigInt(change.pullRequest),
    baseBranch: change.baseBranch,
    fork: change.fork,
    sender: change.sender,
    trustedSender: change.isOwn && repository.trustedSenders.includes(change.sender),
    changed: [...(changed ?? [])],
    message,
    author,
  });
  const isSkipped = change.event !== SourceEvent.TAG && asksForNoRuns(message);
  return { source, filesAt: change.fork && base !== undefined ? base : commit, isSkipped };
}

function refOf({ event, tag, branch, pullRequest }: ForgeChange, { forge }: Repository): string {
  if (event === SourceEvent.PULL_REQUEST) return pullRequestRef(forge, pullRequest);
  return event === SourceEvent.TAG ? `refs/tags/${tag}` : `refs/heads/${branch}`;
}

interface Sides {
  readonly change: ForgeChange;
  readonly commit: string;
  readonly base: string | undefined;
}

/** Of a pull request, since it parted from its base; of a new branch, from the default branch; of a tag, unknown. */
async function changedPaths(
  { change, commit, base }: Sides,
  repository: Repository,
  clone: Clone,
): Promise<readonly string[] | undefined> {
  if (change.event === SourceEvent.TAG) return undefined;
  if (isCommitId(change.before)) {
    const before = await clone.fetchCommit(change.before, `refs/heads/${change.branch}`).catch(gone);
    return before === undefined ? undefined : clone.changed(before, commit);
  }
  const other = base ?? (await clone.fetchBranch(defaultBranchOf(repository)).catch(gone));
  const parted = other === undefined ? undefined : await clone.mergeBase(other, commit);
  return parted === undefined || parted === commit ? undefined : clone.changed(parted, commit);
}

/** What a forced push left behind may be gone. */
function gone(error: unknown): undefined {
  if (isKedgeError(error, "GIT_FAILED")) return undefined;
  throw error;
}
