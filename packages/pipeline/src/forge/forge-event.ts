import type { SourceEvent } from "@kedge/proto";

/** What a forge tells of a repository: a change that may start runs, nothing of the kind, or something that makes no sense. */
export type ForgeEvent =
  | { readonly kind: "change"; readonly change: ForgeChange }
  | { readonly kind: "nothing"; readonly why: string }
  | { readonly kind: "malformed"; readonly why: string };

/** A push, a new tag, or a pull request with new commits. */
export interface ForgeChange {
  readonly event: SourceEvent.PUSH | SourceEvent.TAG | SourceEvent.PULL_REQUEST;
  /** As the forge writes it, e.g. "team/shop". */
  readonly repository: string;
  /** Full id of a commit, or of a tag object. */
  readonly commit: string;
  /** What the branch was before; empty: it is new, or it is not known. */
  readonly before: string;
  readonly branch: string;
  readonly tag: string;
  /** 0: none. */
  readonly pullRequest: number;
  readonly baseBranch: string;
  /** The commit comes from another repository. */
  readonly fork: boolean;
  /** Whom the forge authenticated. */
  readonly sender: string;
  /** The sender is the one who made the pull request, too. */
  readonly isOwn: boolean;
  /** Undefined when the forge does not tell all of them. */
  readonly changed: readonly string[] | undefined;
}

/** The fields of a change that a push has no use for. */
export const PLAIN = { tag: "", branch: "", pullRequest: 0, baseBranch: "", fork: false, isOwn: true } as const;

const SKIP = /\[(?:skip ci|ci skip|no ci|skip kedge)\]/i;

/** Tells whether the message of the head commit asks for no runs. */
export function asksForNoRuns(message: string): boolean {
  return SKIP.test(message);
}

/** Tells whether an address is that of a repository by the name that its forge gives it, e.g. "team/shop". */
export function isAddressOf(url: string, fullName: string): boolean {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/i, "").replace(/^[^/]*@[^:/]*:/, "/");
  const plain = path.replace(/\/+$/, "").replace(/\.git$/, "");
  return fullName !== "" && plain.toLowerCase().endsWith(`/${fullName.toLowerCase()}`);
}
