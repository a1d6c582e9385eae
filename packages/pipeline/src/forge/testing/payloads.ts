/** Payloads in the shape that the forges send, with more in them than is looked at. */

const A = "a".repeat(40);
const B = "b".repeat(40);
const ZERO = "0".repeat(40);

/** The commits that the payloads speak of, and the id that stands for none. */
export const COMMITS = { before: A, after: B, zero: ZERO } as const;

const author = { name: "root", email: "root@shop.example", username: "root" };

const commit = (id: string, message: string, files: Readonly<Record<string, readonly string[]>>) => ({
  id,
  tree_id: "c".repeat(40),
  distinct: true,
  message,
  timestamp: "2026-11-20T10:11:12+01:00",
  url: `https://forge.example/team/shop/commit/${id}`,
  author,
  committer: author,
  added: [],
  removed: [],
  modified: [],
  ...files,
});

const repository = {
  id: 4711,
  name: "shop",
  full_name: "team/shop",
  private: true,
  owner: { login: "team", id: 7 },
  clone_url: "https://forge.example/team/shop.git",
  default_branch: "main",
  pushed_at: 1_763_629_872,
};

/** A push on GitHub; Gitea's has the same fields and some more. */
export const githubPush = {
  ref: "refs/heads/main",
  before: A,
  after: B,
  created: false,
  deleted: false,
  forced: false,
  base_ref: null,
  compare: `https://forge.example/team/shop/compare/${A}...${B}`,
  commits: [
    commit("1".repeat(40), "one", { added: ["src/one.ts"] }),
    commit(B, "two", { modified: ["src/one.ts", "docs/two.md"], removed: ["old"] }),
  ],
  head_commit: commit(B, "two", {}),
  repository,
  pusher: { name: "ann", email: "ann@shop.example" },
  sender: { login: "ann", id: 1, type: "User" },
};

const side = (ref: string, sha: string, id: number, fullName: string) => ({
  label: `${fullName.split("/")[0]}:${ref}`,
  ref,
  sha,
  user: { login: fullName.split("/")[0], id: 9 },
  repo: { ...repository, id, full_name: fullName },
});

/** A pull request on GitHub from a fork. */
export const githubPullRequest = {
  action: "opened",
  number: 12,
  pull_request: {
    id: 100,
    number: 12,
    state: "open",
    title: "Faster",
    user: { login: "eve", id: 66 },
    head: side("faster", B, 999, "eve/shop"),
    base: side("main", A, 4711, "team/shop"),
    draft: false,
    merged: false,
    commits: 1,
  },
  repository,
  sender: { login: "eve", id: 66, type: "User" },
};

/** A push on GitLab. */
export const gitlabPush = {
  object_kind: "push",
  event_name: "push",
  before: A,
  after: B,
  ref: "refs/heads/main",
  ref_protected: true,
  checkout_sha: B,
  message: null,
  user_id: 4,
  user_name: "root",
  user_username: "ann",
  user_email: "",
  project_id: 15,
  project: { id: 15, name: "shop", path_with_namespace: "team/shop", default_branch: "main", namespace: "team" },
  commits: [commit(B, "two", { added: ["src/one.ts"] })],
  total_commits_count: 1,
};

/** A merge request on GitLab from a fork. */
export const gitlabMergeRequest = {
  object_kind: "merge_request",
  event_type: "merge_request",
  user: { id: 66, name: "root", username: "eve", email: "[REDACTED]" },
  project: gitlabPush.project,
  object_attributes: {
    id: 99,
    iid: 12,
    action: "open",
    state: "opened",
    author_id: 66,
    source_branch: "faster",
    source_project_id: 16,
    target_branch: "main",
    target_project_id: 15,
    last_commit: { id: B, message: "two", author: { name: "root", email: "root@shop.example" } },
  },
  changes: {},
};

/** A push on Gitea. */
export const giteaPush = { ...githubPush, total_commits: 2, head_commit: undefined, forced: undefined };

/** A pull request on Gitea from a fork. */
export const giteaPullRequest = { ...githubPullRequest, action: "synchronized", commit_id: B };
