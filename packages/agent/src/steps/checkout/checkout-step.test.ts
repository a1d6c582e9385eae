import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, symlinkSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CheckoutStepSchema, SourceKind, TaskOfferSchema } from "@kedge/proto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { GitHttpServer } from "../../testing/git-http-server.ts";
import { SubversionServer } from "../../testing/subversion-server.ts";
import { type CheckoutContext, checkoutStep } from "./checkout-step.ts";

const LOGIN = "bot:hunter2";
let root: string;
let workspace: string;
let open: GitHttpServer;
let closed: GitHttpServer;
let logged = "";

const git = (directory: string, ...args: string[]) =>
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.org", ...args], {
    cwd: directory,
    encoding: "utf8",
  }).trim();

/** A repository with these files; a value that is a commit makes the path a submodule. */
async function repository(name: string, files: Record<string, string>): Promise<string> {
  const directory = join(root, "repositories", name);
  await mkdir(directory, { recursive: true });
  git(directory, "init", "-q", "-b", "main");
  for (const [path, content] of Object.entries(files)) {
    if (/^[0-9a-f]{40}$/.test(content)) {
      git(directory, "update-index", "--add", "--cacheinfo", `160000,${content},${path}`);
      continue;
    }
    await mkdir(join(directory, path, ".."), { recursive: true });
    await writeFile(join(directory, path), content);
    git(directory, "add", "--", path);
  }
  git(directory, "commit", "-qm", name);
  return git(directory, "rev-parse", "HEAD");
}

function checkout(action: MessageInitShape<typeof CheckoutStepSchema>, secrets: Record<string, string> = {}) {
  const never = new AbortController().signal;
  const context: CheckoutContext = {
    workspace,
    offer: create(TaskOfferSchema),
    step: { name: "checkout-1" },
    secrets: new Map(Object.entries(secrets).map(([name, value]) => [name, Buffer.from(value)])),
    signal: never,
    detached: never,
    log: {
      write: ({ data }) => {
        logged += Buffer.from(data).toString("utf8");
        return Promise.resolve();
      },
      note: (_, text) => {
        logged += `${text}\n`;
        return Promise.resolve();
      },
    },
  };
  return checkoutStep(context, create(CheckoutStepSchema, action));
}

const read = (path: string) => readFile(join(workspace, path), "utf8");
const modules = (path: string, url: string, name = "m") => `[submodule "${name}"]\n\tpath = ${path}\n\turl = ${url}\n`;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kedge-checkout-"));
  await mkdir(join(root, "repositories"));
  open = await GitHttpServer.start(join(root, "repositories"));
  closed = await GitHttpServer.start(join(root, "repositories"), LOGIN);
});
afterAll(async () => {
  await open?.stop();
  await closed?.stop();
  await rm(root, { recursive: true, force: true });
});
beforeEach(async () => {
  logged = "";
  workspace = join(await mkdtemp(join(root, "task-")), "workspace");
  await mkdir(workspace);
});

describe("credentials", () => {
  beforeAll(() => repository("private.git", { file: "private" }));

  it("gives a secret to the host, and leaves it nowhere", async () => {
    const url = `${closed.url}/private.git`;
    await expect(checkout({ repository: url })).rejects.toThrow(/^git: /);
    const { outputs } = await checkout({ repository: url, credential: "git" }, { git: `${LOGIN}\n` });
    expect(outputs["commit"]).toMatch(/^[0-9a-f]{40}$/);
    expect(await read("file")).toBe("private");
    const pattern = `hunter2|${Buffer.from(LOGIN).toString("base64")}`;
    const { stdout, status } = spawnSync("grep", ["-rlE", pattern, join(workspace, "..")], { encoding: "utf8" });
    expect({ stdout, status }).toEqual({ stdout: "", status: 1 });
  });

  it("lends ssh a private key that nobody else may read", async () => {
    const bin = join(root, "bin");
    await mkdir(bin);
    const script = `#!/bin/sh\nwhile [ "$1" != -i ]; do shift; done\nstat -c %a "$2" > ${bin}/told; cat "$2" >> ${bin}/told\nexit 1\n`;
    await writeFile(join(bin, "ssh"), script, { mode: 0o755 });
    const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----";
    const path = process.env["PATH"];
    process.env["PATH"] = `${bin}:${path}`;
    try {
      const action = { repository: "git@forge.invalid:team/app.git", credential: "key" };
      await expect(checkout(action, { key })).rejects.toThrow(/^git: /);
    } finally {
      process.env["PATH"] = path;
    }
    expect(await readFile(join(bin, "told"), "utf8")).toBe(`600\n${key}\n`);
    expect(await readdir(join(workspace, ".."))).toEqual(["workspace"]);
  });

  it("takes a token alone, and says what it has no use for", async () => {
    const url = `${closed.url}/private.git`;
    await expect(checkout({ repository: url, credential: "git" }, { git: "tok" })).rejects.toThrow(/^git: /);
    expect(closed.requests.at(-1)).toContain("x-access-token:tok");
    await expect(checkout({ repository: url, credential: "git" })).rejects.toThrow("was not given secret git");
    await expect(checkout({ repository: url, credential: "git" }, { git: "a\nb" })).rejects.toThrow("must be a token");
    expect(logged).not.toContain("hunter2");
  });
});

describe("where it goes", () => {
  beforeAll(() => repository("plain.git", { file: "plain", "deep/er": "below" }));
  const url = () => `${open.url}/plain.git`;

  it("checks out below the workspace, twice", async () => {
    await checkout({ repository: url(), path: "src/app" });
    await writeFile(join(workspace, "src/app/file"), "changed");
    await checkout({ repository: url(), path: "src/app" });
    expect(await read("src/app/file")).toBe("plain");
    expect(git(join(workspace, "src/app"), "remote", "get-url", "origin")).toBe(url());
  });

  it.each(["../out", "/etc", "a/../../b", ".git", "a/.GIT/hooks", "link/below"])("refuses %s", async (path) => {
    symlinkSync(root, join(workspace, "link"));
    await expect(checkout({ repository: url(), path })).rejects.toThrow(/^checkout.path: /);
    expect(existsSync(join(root, "below"))).toBe(false);
  });

  it("believes nothing that an earlier step left as a repository", async () => {
    const trap = `touch ${join(root, "trapped")}`;
    git(workspace, "init", "-q", ".");
    for (const key of ["core.fsmonitor", "core.sshCommand", "filter.x.smudge", "core.pager", "diff.external"]) {
      git(workspace, "config", key, trap);
    }
    git(workspace, "config", "core.worktree", root);
    await writeFile(join(workspace, ".git/info/attributes"), "* filter=x\n");
    symlinkSync(root, join(workspace, "deep"));
    await checkout({ repository: url() });
    expect(await read("deep/er")).toBe("below");
    expect(existsSync(join(root, "trapped")) || existsSync(join(root, "er"))).toBe(false);
  });

  it("leaves out what a partial clone need not have", async () => {
    await repository("large.git", { "a.txt": "first" });
    const source = join(root, "repositories", "large.git");
    await writeFile(join(source, "a.txt"), "second");
    git(source, "commit", "-qam", "second");
    await checkout({ repository: `${open.url}/large.git`, filter: "blob:none", depth: 2 });
    expect(await read("a.txt")).toBe("second");
    const objects = git(workspace, "rev-list", "--objects", "--missing=print", "--all", "HEAD").split("\n");
    expect(objects.filter((line) => line.startsWith("?"))).toHaveLength(1);
    await expect(checkout({ repository: url(), filter: "sparse:path=/etc/passwd" })).rejects.toThrow("is no filter");
  });
});

describe("submodules", () => {
  it("checks out those of submodules too, and sends the credential to no other host", async () => {
    const leaf = await repository("leaf.git", { leaf: "leaf" });
    const other = await repository("other.git", { other: "other" });
    const middle = await repository("middle.git", {
      ".gitmodules": modules("down/leaf", "../leaf.git"),
      "down/leaf": leaf,
    });
    const top = {
      ".gitmodules":
        `${modules("lib/middle", "./../middle.git")}${modules("other", `${open.url}/other.git`, "o")}`.replaceAll(
          "\n",
          "\r\n",
        ),
      "lib/middle": middle,
      other,
    };
    await repository("top.git", top);
    open.requests.length = 0;
    await checkout({ repository: `${closed.url}/top.git`, submodules: true, credential: "git" }, { git: LOGIN });
    expect(await read("lib/middle/down/leaf/leaf")).toBe("leaf");
    expect(await read("other/other")).toBe("other");
    expect(open.requests.filter((line) => line.includes("bot"))).toEqual([]);
    expect(open.requests.length).toBeGreaterThan(0);
    expect(git(workspace, "status", "--porcelain")).toBe("");
  });

  const COMMIT = "a".repeat(40);
  const vectors: [string, Record<string, string>, string][] = [
    ["a program", { ".gitmodules": modules("m", "ext::sh -c touch% trapped"), m: COMMIT }, "must be an http"],
    ["an option", { ".gitmodules": modules("m", "--upload-pack=touch trapped"), m: COMMIT }, "must be an http"],
    ["an option of ssh", { ".gitmodules": modules("m", "ssh://-oProxyCommand=touch/x"), m: COMMIT }, "must be an http"],
    ["a file URL", { ".gitmodules": modules("m", "file:///etc"), m: COMMIT }, "the node's own disk"],
    ["a path", { ".gitmodules": modules("m", "/srv/secret.git"), m: COMMIT }, "the node's own disk"],
    ["a password", { ".gitmodules": modules("m", "https://me:pw@host/x"), m: COMMIT }, "must not hold a password"],
    ["a CR in the path", { ".gitmodules": modules('"m\r"', "../leaf.git"), m: COMMIT }, "control characters"],
    ["a CR in the name", { ".gitmodules": modules("m", "../leaf.git", "x\ry"), m: COMMIT }, "control characters"],
    [
      "a path out of the tree",
      { ".gitmodules": modules("../m", "../leaf.git"), m: COMMIT },
      "no folder of the work tree",
    ],
    [
      "git's own folder",
      { ".gitmodules": modules(".git/hooks", "../leaf.git"), m: COMMIT },
      "no folder of the work tree",
    ],
  ];
  it.each(vectors)("refuses %s", async (name, files, problem) => {
    const folder = `vector-${name.replaceAll(/[^a-z]/gi, "-")}.git`;
    await repository(folder, files);
    await expect(checkout({ repository: `${open.url}/${folder}`, submodules: true })).rejects.toThrow(problem);
    expect(await readdir(workspace)).not.toContain("trapped");
  });

  it("does not read the node's disk for a path that is relative to a repository there", async () => {
    const leaf = await repository("leaf2.git", { leaf: "leaf" });
    await repository("local.git", { ".gitmodules": modules("m", "../leaf2.git"), m: leaf });
    const local = join(root, "repositories/local.git");
    await expect(checkout({ repository: local, submodules: true })).rejects.toThrow("the node's own disk");
    await checkout({ repository: local });
    expect(await readdir(join(workspace, "m"))).toEqual([]);
  });
});

describe("large files", () => {
  it("puts them in place of their pointers, with the credential", async () => {
    const pointer = closed.addLargeFile("weights ".repeat(100));
    await repository("lfs.git", { ".gitattributes": "*.bin filter=lfs -text\n", "w.bin": pointer });
    const action = { repository: `${closed.url}/lfs.git`, credential: "git" };
    await checkout(action, { git: LOGIN });
    expect(await read("w.bin")).toBe(pointer);
    await checkout({ ...action, lfs: true }, { git: LOGIN });
    expect(await read("w.bin")).toBe("weights ".repeat(100));
    expect(await readdir(join(workspace, ".git/hooks")).catch(() => [])).toEqual([]);
  });

  it("takes them from no other place than http", async () => {
    await repository("lfs-file.git", { ".lfsconfig": "[lfs]\n\turl = file:///etc\n", file: "x" });
    const action = { repository: `${open.url}/lfs-file.git`, lfs: true };
    await expect(checkout(action)).rejects.toThrow("lfs.url in .lfsconfig must be an http or https address");
  });
});

describe("Subversion", () => {
  const kind = SourceKind.SUBVERSION;
  let url: string;
  beforeAll(() => {
    const folder = join(root, "svn");
    execFileSync("svnadmin", ["create", folder]);
    url = `file://${folder}/trunk@2`;
    const file = join(root, "input");
    const escaped = url.replace("@2", "@2@");
    for (const text of ["one", "two"]) {
      execFileSync("sh", ["-c", `printf ${text} > ${file}`]);
      const args =
        text === "one" ? ["mkdir", "-q", "-m", "x", escaped] : ["import", "-q", "-m", "x", file, `${url}/file`];
      execFileSync("svn", args);
    }
  });

  it("checks out a revision, also of a path with @", async () => {
    expect((await checkout({ kind, repository: url })).outputs).toEqual({ commit: "2" });
    expect(await read("file")).toBe("two");
    expect((await checkout({ kind, repository: url, ref: "r1", path: "old" })).outputs).toEqual({ commit: "1" });
    expect(await readdir(join(workspace, "old"))).toEqual([".svn"]);
  });

  it.each([
    "svn+ssh://-oProxyCommand=touch/x",
    "--config-option=x",
    "http://me:pw@host/x",
    "ext::x",
    "/srv/x",
    "svn://host/\nx",
  ])("refuses %j", async (repository) => {
    await expect(checkout({ kind, repository })).rejects.toThrow(/^checkout.subversion: /);
  });

  it("sends a password by the program's input, and leaves it nowhere", async () => {
    const server = await SubversionServer.start(join(root, "svn"), LOGIN);
    try {
      const repository = `${server.url}/trunk@2`;
      await expect(checkout({ kind, repository })).rejects.toThrow(/^svn: E/);
      expect((await checkout({ kind, repository, credential: "svn" }, { svn: LOGIN })).outputs).toEqual({
        commit: "2",
      });
      await expect(checkout({ kind, repository, credential: "svn" }, { svn: "bot:wrong" })).rejects.toThrow(/^svn: E/);
    } finally {
      await server.stop();
    }
    const { stdout } = spawnSync("grep", ["-rl", "hunter2", join(workspace, "..")], { encoding: "utf8" });
    expect(stdout + logged).not.toContain("hunter2");
    expect(await readdir(join(workspace, ".."))).toEqual(["workspace"]);
  });

  it("refuses what is no revision, and says what svn says", async () => {
    await expect(checkout({ kind, repository: url, ref: "--force" })).rejects.toThrow("is no revision");
    await expect(checkout({ kind, repository: `${url}/nosuch` })).rejects.toThrow(/^svn: E\d+/);
  });
});
