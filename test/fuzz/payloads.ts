// Payloads in the shape that forges send, as texts.
const A = "a".repeat(40);
const B = "b".repeat(40);
const repository = { full_name: "team/shop", clone_url: "https://forge.example/team/shop.git", default_branch: "main" };
const side = (ref: string, sha: string) => ({ ref, sha, repo: { ...repository, id: 7 } });

/** A push on GitHub. */
export const githubPush = JSON.stringify({
  ...{ ref: "refs/heads/main", before: A, after: B, created: false, deleted: false, forced: false },
  commits: [{ id: B, message: "two", added: ["src/one.ts"], modified: ["docs/two.md"], removed: [] }],
  head_commit: { id: B, message: "two" },
  ...{ repository, pusher: { name: "ann" }, sender: { login: "ann" } },
});

/** A pull request on GitHub that has a new commit. */
export const githubPullRequest = JSON.stringify({
  ...{ action: "synchronize", number: 7, before: A, after: B },
  pull_request: {
    number: 7,
    title: "Seven",
    draft: false,
    user: { login: "bob" },
    head: side("fix", B),
    base: side("main", A),
  },
  ...{ repository, sender: { login: "bob" } },
});

const project = { id: 5, path_with_namespace: "team/shop", git_http_url: "https://forge.example/team/shop.git" };

/** A push on GitLab. */
export const gitlabPush = JSON.stringify({
  ...{ object_kind: "push", ref: "refs/heads/main", before: A, after: B, checkout_sha: B, user_username: "ann" },
  ...{ project, total_commits_count: 1 },
  commits: [{ id: B, message: "two", added: ["a"], modified: [], removed: [] }],
});

/** A merge request on GitLab that has a new commit. */
export const gitlabMergeRequest = JSON.stringify({
  ...{ object_kind: "merge_request", user: { username: "ann" }, project },
  object_attributes: {
    ...{ iid: 7, action: "update", oldrev: A, source_branch: "fix", target_branch: "main", title: "Seven" },
    ...{ source_project_id: 5, target_project_id: 5, source: project, target: project, last_commit: { id: B } },
  },
});
