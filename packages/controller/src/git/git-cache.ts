import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { Forge, type Repository } from "@kedge/proto";
import {
  assertFetchable,
  assertRefName,
  type GitCredential,
  type GitOptions,
  isCommitId,
  runGit,
  runGitRaw,
} from "@kedge/runtime/git";

/** What repositories are read with. */
export interface GitCacheOptions {
  /** Folder that it makes and owns. */
  readonly dir: string;
  readonly clock: Clock;
  /** The value of a secret by its name. @throws KedgeError SECRET_NOT_FOUND. */
  readonly secret: (name: string) => Promise<string>;
}

/** What a commit says of itself: for people, never to be trusted. */
export interface CommitText {
  readonly message: string;
  readonly author: string;
}

/** Stands in a clone that was made to its end. */
const READY = "kedge-ready";
const FETCH_MS = 300_000;
const LOOK_MS = 30_000;
const MAX_CACHES = 50;
/** A cache with more, or bigger, packs is made anew: it is never repacked. */
const MAX_PACKS = 200;
const MAX_CACHE_BYTES = 2 * 1024 ** 3;
const MAX_HEADS_BYTES = 4 * 1024 * 1024;
const MAX_CHANGES_BYTES = 4 * 1024 * 1024;
const MAX_CHANGED = 3_000;
const MAX_FILE_BYTES = 1024 * 1024 + 1;
const MAX_MESSAGE = 1_000;
const USERS: Readonly<Record<Forge, string>> = {
  [Forge.UNSPECIFIED]: "git",
  [Forge.GITHUB]: "x-access-token",
  [Forge.GITLAB]: "oauth2",
  [Forge.GITEA]: "oauth2",
};

/**
 * Reads repositories: heads, single files, what changed. Each has a bare clone without file contents, which are fetched when
 * they are asked for. The clones are a cache: they may be deleted at any time, and are when they grow too many or too big.
 */
export class GitCache {
  readonly #options: GitCacheOptions;
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(options: GitCacheOptions) {
    this.#options = options;
  }

  /** Commits of all branches, by name. @throws KedgeError GIT_FAILED, SECRET_NOT_FOUND, TIMEOUT. */
  async heads(repository: Repository, signal: AbortSignal): Promise<Map<string, string>> {
    await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
    const options = await this.#gitOptions(repository, this.#options.dir);
    const answer = await this.#within(LOOK_MS, signal, (limited) =>
      runGit(["ls-remote", "--heads", "--", repository.url], {
        ...options,
        signal: limited,
        maxBytes: MAX_HEADS_BYTES,
      }),
    );
    const lines = answer.split("\n").map((line) => /^([0-9a-f]+)\trefs\/heads\/(.+)$/.exec(line));
    return new Map(lines.flatMap((match) => (match === null ? [] : [[match[2] ?? "", match[1] ?? ""] as const])));
  }

  /**
   * Does some reading of one repository, alone: nobody else works on its clone meanwhile. What is thrown comes through.
   */
  use<T>(repository: Repository, signal: AbortSignal, read: (clone: Clone) => Promise<T>): Promise<T> {
    const key = repository.name;
    const before = this.#busy.get(key) ?? Promise.resolve();
    const mine = before.then(async () => {
      signal.throwIfAborted();
      return read(await this.#open(repository, signal));
    });
    const settled = mine.then(
      () => {},
      () => {}, // whoever asked is told
    );
    this.#busy.set(key, settled);
    settled.then(() => this.#busy.get(key) === settled && this.#busy.delete(key));
    return mine;
  }

  async #open(repository: Repository, signal: AbortSignal): Promise<Clone> {
    assertFetchable(repository.url, "url");
    const digest = createHash("sha256").update(repository.url).digest("hex").slice(0, 12);
    const directory = join(this.#options.dir, `${repository.name}-${digest}`);
    if (await isOversized(directory)) await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const options = await this.#gitOptions(repository, directory);
    const git: RunGit = (args, { ms = LOOK_MS, ...more } = {}) =>
      this.#within(ms, signal, (limited) => runGitRaw(args, { ...options, ...more, signal: limited }));
    if (!existsSync(join(directory, READY))) {
      await git(["init", "--bare", "--quiet", "."]);
      // Where missing contents are fetched from later on.
      await git(["config", "remote.origin.url", repository.url]);
      await git(["config", "remote.origin.promisor", "true"]);
      await git(["config", "remote.origin.partialclonefilter", "blob:none"]);
      await writeFile(join(directory, READY), "");
      await this.#evict();
    }
    const nowSeconds = this.#options.clock.now() / 1000;
    await utimes(directory, nowSeconds, nowSeconds);
    return new Clone(git);
  }

  async #evict(): Promise<void> {
    const names = await readdir(this.#options.dir);
    if (names.length <= MAX_CACHES) return;
    const aged = await Promise.all(
      names.map(async (name) => ({ name, usedMs: (await stat(join(this.#options.dir, name))).mtimeMs })),
    );
    aged.sort((a, b) => a.usedMs - b.usedMs);
    const idle = aged.filter(({ name }) => ![...this.#busy.keys()].some((key) => name.startsWith(`${key}-`)));
    for (const { name } of idle.slice(0, names.length - MAX_CACHES)) {
      await rm(join(this.#options.dir, name), { recursive: true, force: true });
    }
  }

  async #gitOptions(repository: Repository, directory: string): Promise<Omit<GitOptions, "signal">> {
    const credential = await this.#credential(repository);
    return { directory, remote: repository.url, ...(credential === undefined ? {} : { credential }) };
  }

  async #credential({ tokenSecret, user, forge }: Repository): Promise<GitCredential | undefined> {
    if (tokenSecret === "") return undefined;
    return { user: user || USERS[forge], password: await this.#options.secret(tokenSecret) };
  }

  async #within<T>(ms: number, signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const timer = new AbortController();
    const cancel = this.#options.clock.after(ms, () => {
      timer.abort(new KedgeError("TIMEOUT", `git took more than ${ms / 1000} s`));
    });
    try {
      return await act(AbortSignal.any([signal, timer.signal]));
    } finally {
      cancel();
    }
  }
}

type RunGit = (
  args: readonly string[],
  options?: { readonly ms?: number; readonly maxBytes?: number },
) => Promise<Buffer>;

/** A bare clone that nobody else works on at the moment. */
export class Clone {
  readonly #git: RunGit;

  constructor(git: RunGit) {
    this.#git = git;
  }

  /** Fetches a branch with its history and gives its commit. @throws KedgeError GIT_FAILED, TIMEOUT. */
  async fetchBranch(branch: string): Promise<string> {
    assertRefName(branch, "branch");
    const target = `refs/kedge/heads/${branch}`;
    await this.#fetch(`+refs/heads/${branch}:${target}`);
    return this.#commitOf(target);
  }

  /**
   * Fetches a commit, or the commit that a tag object names. Where the server gives out named commits only, it is looked
   * for in `ref`. Fails like `fetchBranch`.
   */
  async fetchCommit(id: string, ref: string): Promise<string> {
    if (!isCommitId(id))
      throw new KedgeError("INVALID_FIELD", "the id of a commit has 40 or 64 digits", { field: "id" });
    assertRefName(ref, "ref");
    const target = `refs/kedge/commits/${id}`;
    // What was fetched before does not change.
    const known = await this.#commitOf(target).catch(unlessFailed);
    if (known !== undefined) return known;
    try {
      await this.#fetch(`+${id}:${target}`);
    } catch (error) {
      if (!isKedgeError(error, "GIT_FAILED")) throw error;
      await this.#fetch(`+${ref}:refs/kedge/named`);
    }
    return this.#commitOf(id);
  }

  /** A file of a fetched commit as text; undefined when there is none. @throws KedgeError TOO_LARGE beyond 1 MiB. */
  async file(commit: string, path: string): Promise<string | undefined> {
    const listed = await this.#text(["--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", path]);
    const [, object] = /^100\d{3} blob ([0-9a-f]+)\t/.exec(listed) ?? [];
    if (object === undefined) return undefined;
    return this.#text(["cat-file", "blob", object], { ms: FETCH_MS, maxBytes: MAX_FILE_BYTES });
  }

  /** Paths that differ between two fetched commits; undefined when there are more than 3,000. */
  async changed(from: string, to: string): Promise<string[] | undefined> {
    const args = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to];
    try {
      const paths = (await this.#text(args, { ms: FETCH_MS, maxBytes: MAX_CHANGES_BYTES })).split("\0").filter(Boolean);
      return paths.length <= MAX_CHANGED ? paths : undefined;
    } catch (error) {
      if (isKedgeError(error, "TOO_LARGE")) return undefined;
      throw error;
    }
  }

  /** Where two fetched commits parted; undefined when they have nothing in common. */
  async mergeBase(one: string, other: string): Promise<string | undefined> {
    const found = await this.#text(["merge-base", one, other]).catch(unlessFailed);
    return found?.trim();
  }

  /** Message, cut at 1,000 characters, and author of a fetched commit. */
  async describe(commit: string): Promise<CommitText> {
    const text = await this.#text(["log", "-1", "--no-show-signature", "--format=%an%x00%B", commit, "--"]);
    const [author = "", message = ""] = text.split("\0");
    return { author: author.slice(0, 200), message: message.trim().slice(0, MAX_MESSAGE) };
  }

  async #fetch(refspec: string): Promise<void> {
    const quiet = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--filter=blob:none"];
    await this.#git(["fetch", ...quiet, "--", "origin", refspec], { ms: FETCH_MS });
  }

  async #commitOf(name: string): Promise<string> {
    const id = await this.#text(["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`]);
    return id.trim();
  }

  async #text(
    args: readonly string[],
    options?: { readonly ms?: number; readonly maxBytes?: number },
  ): Promise<string> {
    return (await this.#git(args, options)).toString("utf8");
  }
}

function unlessFailed(error: unknown): undefined {
  if (!isKedgeError(error, "GIT_FAILED")) throw error;
}

async function isOversized(directory: string): Promise<boolean> {
  const folder = join(directory, "objects", "pack");
  const names = await readdir(folder).catch(() => []); // not there yet
  if (names.length > 2 * MAX_PACKS) return true;
  const sizes = await Promise.all(names.map((name) => stat(join(folder, name)).then(({ size }) => size)));
  return sizes.reduce((sum, size) => sum + size, 0) > MAX_CACHE_BYTES;
}
