import { mkdtemp, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { secureBytes, systemClock } from "@kedge/kernel";
import { Forge, type Repository, RepositorySchema } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GitCache } from "./git-cache.ts";
import { serveRepository } from "./testing/git-http-server.ts";
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

  /** Nothing that packs well. */
  const noise = (): string => Buffer.from(secureBytes(200_000)).toString("hex");

  it("fetches over HTTP with its token, and of files only those that are asked for", async () => {
    const commit = await origin.commit({ "kedge.yaml": "name: shop\n", "big.bin": noise() });
    const other = await origin.commit({ "big.bin": noise() });
    const authorization = `Basic ${Buffer.from("x-access-token:token").toString("base64")}`;
    const server = await serveRepository(origin.url, authorization);
    try {
      const remote = { name: "shop", url: server.url, forge: Forge.GITHUB, tokenSecret: "TOKEN" };
      repository = create(RepositorySchema, remote);
      expect(await cache.heads(repository, signal)).toEqual(new Map([["main", other]]));
      await cache.use(repository, signal, async (clone) => {
        expect(await clone.fetchBranch("main")).toBe(other);
        expect(await clone.changed(commit, other)).toEqual(["big.bin"]);
        const before = server.requests.length;
        expect(await clone.file(other, "kedge.yaml")).toBe("name: shop\n");
        // Only now was it fetched, and with the token again.
        expect(server.requests.length).toBeGreaterThan(before);
      });
      expect(server.requests).not.toContain("refused");
      const [name = ""] = await readdir(join(dir, "git"));
      const packs = await readdir(join(dir, "git", name, "objects", "pack"));
      const sizes = await Promise.all(packs.map((pack) => stat(join(dir, "git", name, "objects", "pack", pack))));
      expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(20_000);
      const config = await readFile(join(dir, "git", name, "config"), "utf8");
      expect(config).not.toContain(authorization.slice("Basic ".length));
      const wrong = create(RepositorySchema, { ...remote, user: "somebody" });
      await expect(cache.heads(wrong, signal)).rejects.toMatchObject({ reason: "GIT_FAILED" });
    } finally {
      await server.stop();
    }
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
