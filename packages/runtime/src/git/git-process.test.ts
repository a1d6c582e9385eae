import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assertFetchable, isCommitId, isRefName } from "./git-names.ts";
import { runGit } from "./git-process.ts";

const { signal } = new AbortController();

describe("names for git", () => {
  it.each([
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=x",
    "ext::sh -c touch% x",
    "https://host/a\nb",
    "https://user:secret@host/x",
    "https://user@host/x",
    "ssh://-oProxyCommand=x/y",
    "fd::17",
    "relative/path",
    "",
    "file://host/share",
    "/-x",
  ])("refuses %j as a repository", (repository) => {
    expect(() => assertFetchable(repository, "url")).toThrow(/^url: /);
  });

  it("never repeats a password that stands in an address", () => {
    expect(() => assertFetchable("https://me:hunter2@host/x", "url")).not.toThrow(/hunter2/);
  });

  it.each(["https://host/a.git", "ssh://git@host:22/a", "git@host:team/a.git", "/srv/a", "file:///srv/a"])(
    "takes %s",
    (repository) => expect(() => assertFetchable(repository, "url")).not.toThrow(),
  );

  it("knows commits and refs", () => {
    expect([isCommitId("a".repeat(40)), isCommitId("0".repeat(40)), isCommitId("HEAD")]).toEqual([true, false, false]);
    expect(["main", "feature/x-1", "v1.0", "ü"].every(isRefName)).toBe(true);
    expect(["-x", "a..b", "a b", "a^", "a.lock", "/a", "a/", "@", "a@{1}", "a\u0000"].some(isRefName)).toBe(false);
  });
});

describe("git", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kedge-git-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("runs no hook and no program that a repository names", async () => {
    await runGit(["init", "--quiet", "a"], { directory: folder, signal });
    const directory = join(folder, "a");
    const trap = `#!/bin/sh\ntouch ${join(folder, "trapped")}\n`;
    await writeFile(join(directory, ".git/hooks/post-commit"), trap, { mode: 0o755 }).catch(() => {});
    const name = ["-c", "user.name=x", "-c", "user.email=x@x"];
    await runGit([...name, "commit", "--quiet", "--allow-empty", "-m", "x"], { directory, signal });
    await expect(runGit(["ls-remote", "ext::touch trapped"], { directory, signal })).rejects.toMatchObject({
      reason: "GIT_FAILED",
    });
    await expect(readFile(join(folder, "trapped"))).rejects.toThrow();
  });

  it("sends a credential to its own host only, and never in the arguments", async () => {
    const seen: string[] = [];
    const server = createServer(({ url, headers }, response) => {
      seen.push(`${url} ${headers.authorization}`);
      response.writeHead(302, { location: `http://localhost:${port}/elsewhere` }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const remote = `http://127.0.0.1:${port}/a.git`;
    const credential = { user: "u", password: "p" };
    await expect(
      runGit(["ls-remote", "--", remote], { directory: folder, signal, remote, credential }),
    ).rejects.toMatchObject({ reason: "GIT_FAILED" });
    server.close();
    expect(seen).toEqual([`/a.git/info/refs?service=git-upload-pack Basic ${Buffer.from("u:p").toString("base64")}`]);
  });

  it("ends with its signal", async () => {
    const abort = new AbortController();
    abort.abort(new Error("enough"));
    await expect(runGit(["version"], { directory: folder, signal: abort.signal })).rejects.toThrow("enough");
  });
});
