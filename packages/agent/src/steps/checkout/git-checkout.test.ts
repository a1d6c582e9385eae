import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gitCheckout } from "./git-checkout.ts";

describe("checkout", () => {
  let root = "";
  let repository = "";
  const commits: string[] = [];
  const git = (...args: string[]) => execFileSync("git", args, { cwd: repository, encoding: "utf8" }).trim();

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "kedge-git-"));
    repository = join(root, "repository");
    await mkdir(repository);
    git("init", "-q", "-b", "main");
    git("config", "user.email", "t@example.org");
    git("config", "user.name", "t");
    for (const text of ["one", "two", "three"]) {
      await writeFile(join(repository, "file"), text);
      git("add", ".");
      git("commit", "-qm", text);
      commits.push(git("rev-parse", "HEAD"));
    }
    git("tag", "v1", commits[1] ?? "");
  });
  afterAll(() => rm(root, { recursive: true }));

  async function fetch(ref: string, from = repository, depth = 1): Promise<{ commit: string; directory: string }> {
    const directory = await mkdtemp(join(root, "work-"));
    const signal = new AbortController().signal;
    const access = { credential: { kind: "none" as const }, home: root, localRepositories: true };
    const what = { directory, repository: from, ref, depth, filter: "" };
    const commit = await gitCheckout({ ...what, ...access, signal, onOutput: () => {} });
    return { commit, directory };
  }

  it("checks out an exact commit, a branch and a tag", async () => {
    const old = await fetch(commits[0] ?? "");
    expect(old.commit).toBe(commits[0]);
    expect(await readFile(join(old.directory, "file"), "utf8")).toBe("one");
    expect((await fetch("main")).commit).toBe(commits[2]);
    expect((await fetch("v1")).commit).toBe(commits[1]);
  });

  it("falls back to all history for a short commit's branch, and names what is missing", async () => {
    await expect(fetch("nosuch")).rejects.toThrow("has no commit, branch or tag nosuch");
    await expect(fetch("main", join(root, "nowhere"))).rejects.toThrow("git: ");
  });

  it("refuses options and remote helpers", async () => {
    const ran = join(root, "ran");
    for (const ref of ["--upload-pack=touch ran", "-x", "", "a\nb", "main:refs/heads/x", "+main:x", "a..b"]) {
      await expect(fetch(ref)).rejects.toThrow("not a ref");
    }
    const repositories = ["-oProxyCommand=touch ran", "ssh://-oProxyCommand=touch/x", "fd::17", "https://me:pw@host/x"];
    for (const from of [`ext::sh -c touch% ${ran}`, `--upload-pack=touch ${ran}`, ...repositories]) {
      await expect(fetch("main", from)).rejects.toThrow(/^checkout.repository: /);
    }
    expect(existsSync(ran)).toBe(false);
  });

  it("runs no hook of the machine", async () => {
    const hooks = join(root, "templates", "hooks");
    await mkdir(hooks, { recursive: true });
    await writeFile(join(hooks, "post-checkout"), `#!/bin/sh\ntouch ${join(root, "hooked")}\n`);
    await chmod(join(hooks, "post-checkout"), 0o755);
    process.env["GIT_TEMPLATE_DIR"] = join(root, "templates");
    try {
      await fetch("main");
    } finally {
      delete process.env["GIT_TEMPLATE_DIR"];
    }
    expect(existsSync(join(root, "hooked"))).toBe(false);
  });
});
