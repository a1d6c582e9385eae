import { mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import { type Repository, RepositorySchema } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GitCache } from "./git-cache.ts";
import { GitRepository } from "./testing/git-repository.ts";

describe("the cache of repositories", () => {
  const { signal } = new AbortController();
  let origin: GitRepository;
  let dir: string;
  let cache: GitCache;
  let repository: Repository;
  beforeEach(async () => {
    origin = await GitRepository.create();
    dir = await mkdtemp(join(tmpdir(), "kedge-git-cache-"));
    cache = new GitCache({ dir: join(dir, "git"), clock: systemClock, secret: async () => "token" });
    repository = create(RepositorySchema, { name: "shop", url: origin.url });
  });
  afterEach(async () => {
    await origin.remove();
    await rm(dir, { recursive: true, force: true });
  });

  it("reads heads, files and differences", async () => {
    const first = await origin.commit({ "kedge.yaml": "name: shop\n", "big.bin": "x".repeat(100_000) }, "first");
    const second = await origin.commit({ "src/ä b.ts": "1", "kedge.yaml": "name: shop2\n" }, "second\n\n[skip ci]");
    await origin.git("branch", "feature/x", first);
    expect(await cache.heads(repository, signal)).toEqual(
      new Map([
        ["feature/x", first],
        ["main", second],
      ]),
    );
    await cache.use(repository, signal, async (clone) => {
      expect(await clone.fetchBranch("main")).toBe(second);
      expect(await clone.file(second, "kedge.yaml")).toBe("name: shop2\n");
      expect(await clone.file(first, "kedge.yaml")).toBe("name: shop\n");
      expect(await clone.file(second, "none.yaml")).toBeUndefined();
      expect(await clone.file(second, "src")).toBeUndefined();
      expect(await clone.changed(first, second)).toEqual(["kedge.yaml", "src/ä b.ts"]);
      expect(await clone.describe(second)).toEqual({ author: "somebody", message: "second\n\n[skip ci]" });
    });
  });

  it("finds where branches parted, commits without a name, and what tags name", async () => {
    const base = await origin.commit({ a: "1" });
    await origin.git("checkout", "--quiet", "-b", "topic");
    const topic = await origin.commit({ b: "1" });
    await origin.git("tag", "-a", "v1", "-m", "one");
    const tag = (await origin.git("rev-parse", "refs/tags/v1")).trim();
    await origin.git("checkout", "--quiet", "main");
    const main = await origin.commit({ c: "1" });
    await cache.use(repository, signal, async (clone) => {
      await clone.fetchBranch("main");
      expect(await clone.fetchCommit(topic, "refs/heads/topic")).toBe(topic);
      expect(await clone.fetchCommit(tag, "refs/tags/v1")).toBe(topic);
      expect(await clone.mergeBase(main, topic)).toBe(base);
      await expect(clone.fetchCommit("f".repeat(40), "refs/heads/none")).rejects.toMatchObject({
        reason: "GIT_FAILED",
      });
    });
  });

  it("follows no link out of the repository", async () => {
    await symlink("/etc/passwd", join(origin.url, "kedge.yaml"));
    const commit = await origin.commit({});
    await cache.use(repository, signal, async (clone) => {
      await clone.fetchBranch("main");
      expect(await clone.file(commit, "kedge.yaml")).toBeUndefined();
    });
  });

  it("has one at a time work on a clone, and goes on after a failure", async () => {
    await origin.commit({ a: "1" });
    const seen: string[] = [];
    const use = (name: string, fails: boolean) =>
      cache.use(repository, signal, async (clone) => {
        seen.push(`${name} begins`);
        await clone.fetchBranch(fails ? "none" : "main").finally(() => seen.push(`${name} ends`));
      });
    const [a, b] = await Promise.allSettled([use("a", true), use("b", false)]);
    expect([a.status, b.status]).toEqual(["rejected", "fulfilled"]);
    expect(seen).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });

  it("keeps so many clones and no more", async () => {
    await origin.commit({ a: "1" });
    for (let i = 0; i < 52; i++) {
      await cache.use(create(RepositorySchema, { name: `r${i}`, url: origin.url }), signal, async () => {});
    }
    const names = await readdir(join(dir, "git"));
    expect(names.length).toBeLessThanOrEqual(51);
    expect(names.some((name) => name.startsWith("r51-"))).toBe(true);
    expect(names.some((name) => name.startsWith("r0-"))).toBe(false);
  });
});
