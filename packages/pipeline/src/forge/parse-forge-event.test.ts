import { Forge, SourceEvent } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { asksForNoRuns, type ForgeChange, isAddressOf } from "./forge-event.ts";
import { parseForgeEvent } from "./parse-forge-event.ts";
import {
  COMMITS,
  giteaPullRequest,
  giteaPush,
  githubPullRequest,
  githubPush,
  gitlabMergeRequest,
  gitlabPush,
} from "./testing/payloads.ts";

const { GITHUB, GITLAB, GITEA } = Forge;
const PUSHES = [
  ["GitHub", GITHUB, "push", githubPush],
  ["GitLab", GITLAB, "Push Hook", gitlabPush],
  ["Gitea", GITEA, "push", giteaPush],
] as const;
const PULL_REQUESTS = [
  ["GitHub", GITHUB, "pull_request", githubPullRequest],
  ["GitLab", GITLAB, "Merge Request Hook", gitlabMergeRequest],
  ["Gitea", GITEA, "pull_request", giteaPullRequest],
] as const;

function change(forge: Forge, event: string, body: unknown): ForgeChange {
  const parsed = parseForgeEvent(forge, event, body);
  if (parsed.kind !== "change") throw new Error(parsed.why);
  return parsed.change;
}

describe("a push", () => {
  it.each(PUSHES)("of %s names branch, commits and whoever the forge authenticated", (_, forge, event, body) => {
    expect(change(forge, event, body)).toMatchObject({
      event: SourceEvent.PUSH,
      repository: "team/shop",
      commit: COMMITS.after,
      before: COMMITS.before,
      branch: "main",
      tag: "",
      fork: false,
      sender: "ann",
    });
  });

  it.each(PUSHES)("of %s that deletes a branch starts nothing", (_, forge, event, body) => {
    const gone = { ...body, after: COMMITS.zero, checkout_sha: null, head_commit: null, commits: [] };
    expect(parseForgeEvent(forge, event, gone)).toMatchObject({ kind: "nothing", why: "branch was deleted" });
  });

  it.each(PUSHES)("of %s can be of a tag", (_, forge, event, body) => {
    const tag = { ...body, ref: "refs/tags/v1/beta", before: COMMITS.zero };
    expect(change(forge, event, tag)).toMatchObject({ event: SourceEvent.TAG, tag: "v1/beta", branch: "", before: "" });
  });

  it.each(PUSHES)("of %s of another ref starts nothing", (_, forge, event, body) => {
    expect(parseForgeEvent(forge, event, { ...body, ref: "refs/notes/x" }).kind).toBe("nothing");
  });

  it("of GitHub tells what changed, unless it was forced, is new, or is too long to be told", () => {
    const changed = (fields: object) => change(GITHUB, "push", { ...githubPush, ...fields }).changed;
    expect(new Set(changed({}))).toEqual(new Set(["src/one.ts", "docs/two.md", "old"]));
    expect(changed({ forced: true })).toBeUndefined();
    expect(changed({ before: COMMITS.zero })).toBeUndefined();
    expect(changed({ commits: Array(2_048).fill(githubPush.commits[0]) })).toBeUndefined();
    expect(changed({ commits: [{ added: Array.from({ length: 3_001 }, (_, i) => `f${i}`) }] })).toBeUndefined();
  });
});

describe("a pull request", () => {
  it.each(PULL_REQUESTS)("of %s from a fork is a stranger's", (_, forge, event, body) => {
    expect(change(forge, event, body)).toMatchObject({
      event: SourceEvent.PULL_REQUEST,
      repository: "team/shop",
      commit: COMMITS.after,
      branch: "faster",
      baseBranch: "main",
      pullRequest: 12,
      fork: true,
      sender: "eve",
      isOwn: true,
    });
  });

  it("whose commits, or even its repository, carry a trusted name is still the sender's", () => {
    const forged = structuredClone(githubPullRequest);
    Object.assign(forged.pull_request.head.user, { login: "ann" });
    expect(change(GITHUB, "pull_request", forged).sender).toBe("eve");
    expect(change(GITLAB, "Merge Request Hook", gitlabMergeRequest).sender).toBe("eve");
  });

  it("from a repository that is gone is a fork's", () => {
    const { pull_request: it, ...rest } = githubPullRequest;
    const gone = { ...rest, pull_request: { ...it, head: { ...it.head, repo: null } } };
    expect(change(GITHUB, "pull_request", gone).fork).toBe(true);
    const lost = { ...gitlabMergeRequest.object_attributes, source_project_id: null };
    expect(change(GITLAB, "Merge Request Hook", { ...gitlabMergeRequest, object_attributes: lost }).fork).toBe(true);
  });

  it("within the repository is no fork's", () => {
    const { pull_request: it, ...rest } = githubPullRequest;
    const own = { ...rest, pull_request: { ...it, head: { ...it.head, repo: it.base.repo } } };
    expect(change(GITHUB, "pull_request", own).fork).toBe(false);
  });

  it("that somebody else than its author moves is not the sender's own", () => {
    const byAnn = { ...githubPullRequest, sender: { login: "ann" } };
    expect(change(GITHUB, "pull_request", byAnn).isOwn).toBe(false);
    expect(change(GITHUB, "pull_request", { ...githubPullRequest, action: "reopened" }).isOwn).toBe(false);
    const user = { ...gitlabMergeRequest.user, id: 1, username: "ann" };
    expect(change(GITLAB, "Merge Request Hook", { ...gitlabMergeRequest, user }).isOwn).toBe(false);
  });

  it("starts nothing without new commits or a new base", () => {
    const kind = (fields: object) => parseForgeEvent(GITHUB, "pull_request", { ...githubPullRequest, ...fields }).kind;
    expect([kind({ action: "labeled" }), kind({ action: "closed" }), kind({ action: "edited" })]).toEqual(
      Array(3).fill("nothing"),
    );
    expect(kind({ action: "edited", changes: { base: { ref: { from: "old" } } } })).toBe("change");
    const gitlab = (fields: object) => {
      const attributes = { ...gitlabMergeRequest.object_attributes, ...fields };
      return parseForgeEvent(GITLAB, "Merge Request Hook", { ...gitlabMergeRequest, object_attributes: attributes })
        .kind;
    };
    expect([gitlab({ action: "update" }), gitlab({ action: "update", oldrev: COMMITS.before })]).toEqual([
      "nothing",
      "change",
    ]);
  });
});

it("takes whatever comes without a throw", () => {
  const forge = fc.constantFrom(GITHUB, GITLAB, GITEA);
  const event = fc.constantFrom("push", "pull_request", "Push Hook", "Tag Push Hook", "Merge Request Hook", "ping");
  const payloads = [...PUSHES, ...PULL_REQUESTS].map(([, , , body]) => body);
  // Real payloads with any one field replaced.
  const bent = fc.tuple(fc.constantFrom(...payloads), fc.string(), fc.jsonValue()).map(([body, key, value]) => {
    const keys = Object.keys(body);
    return { ...body, [keys[key.length % keys.length] ?? ""]: value };
  });
  fc.assert(
    fc.property(forge, event, fc.oneof(fc.jsonValue(), bent), (which, kind, body) => {
      const parsed = parseForgeEvent(which, kind, body);
      if (parsed.kind === "change") expect(parsed.change.commit).toMatch(/^[0-9a-f]{40}([0-9a-f]{24})?$/);
      else expect(parsed.why).not.toBe("");
    }),
    { numRuns: 500 },
  );
});

it("names the field that is not what it should be", () => {
  const { sender: _, ...without } = githubPush;
  expect(parseForgeEvent(GITHUB, "push", without)).toEqual({
    kind: "malformed",
    why: "sender is missing or not what it should be",
  });
});

it("knows a repository by its address", () => {
  const fits = ["https://h/team/shop.git", "git@h:team/shop.git", "ssh://git@h:22/Team/Shop", "/srv/team/shop.git/"];
  expect(fits.map((url) => isAddressOf(url, "team/shop"))).toEqual([true, true, true, true]);
  expect(
    ["https://h/team/shop2", "https://team/shop", "https://h/xteam/shop"].some((url) => isAddressOf(url, "team/shop")),
  ).toBe(false);
  expect(isAddressOf("https://h/team/shop", "")).toBe(false);
});

it("skips when the message asks for it", () => {
  expect(["fix [skip ci]", "[CI SKIP]", "x\n\n[no ci]"].every(asksForNoRuns)).toBe(true);
  expect(["skip ci", "[skip  ci]", ""].some(asksForNoRuns)).toBe(false);
});
