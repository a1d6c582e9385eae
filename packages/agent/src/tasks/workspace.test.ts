import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemClock as clock, silentLogger as logger } from "@kedge/kernel";
import { connectDocker, createDockerRuntime, createImageStore } from "@kedge/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { emptyAsRoot } from "./empty-as-root.ts";
import { removeWorkspace } from "./workspace.ts";

const NOBODY = 65_534;
const run = promisify(execFile);

/** Whether another user's removal has removed it all: this process may be root, whom no mode keeps out. */
async function removeAs(uid: number, path: string): Promise<boolean> {
  const module = join(import.meta.dirname, "workspace.ts");
  const script = `const { removeWorkspace } = await import(${JSON.stringify(module)}); console.log(await removeWorkspace(${JSON.stringify(path)}))`;
  const args = ["-C", "kedge-source", "--input-type=module", "-e", script];
  const { stdout } = await run(process.execPath, args, { uid, gid: uid, cwd: "/", env: { PATH: "/usr/bin:/bin" } });
  return stdout.trim() === "true";
}

describe.skipIf(process.getuid?.() !== 0)("a workspace", () => {
  let base: string;
  let workspace: string;
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "kedge-workspace-"));
    workspace = join(base, "workspace");
    await mkdir(join(workspace, "locked", "inner"), { recursive: true });
    await writeFile(join(workspace, "locked", "inner", ".file"), "x");
    await mkdir(join(base, "outside"), { mode: 0o500 });
    await symlink(join(base, "outside"), join(workspace, "locked", "link"));
    for (const path of ["", "locked", "locked/inner", "locked/inner/.file"])
      await chown(join(workspace, path), NOBODY, NOBODY);
    for (const path of ["locked/inner", "locked", ""]) await chmod(join(workspace, path), 0o000);
    await chown(base, NOBODY, NOBODY);
    await chmod(base, 0o755);
  });
  afterEach(() => rm(base, { recursive: true, force: true }));

  it("goes although a job has closed its own folders, and nothing outside is touched", async () => {
    expect(await removeAs(NOBODY, workspace)).toBe(true);
    expect(existsSync(workspace)).toBe(false);
    expect(existsSync(join(base, "outside"))).toBe(true);
  });

  it("says so when files of another user are in the way", async () => {
    await chown(join(workspace, "locked"), 1234, 1234);
    expect(await removeAs(NOBODY, workspace)).toBe(false);
    expect(existsSync(join(workspace, "locked"))).toBe(true);
  });

  it("is emptied by a container where it has files of another user, with an image that holds no program", async () => {
    await chown(join(workspace, "locked"), 1234, 1234);
    const docker = connectDocker();
    const images = createImageStore({ docker });
    const instance = `workspace-test-${process.pid}`;
    const image = `kedge-agent-test/empty:${process.pid}`;
    const tar = spawn("tar", ["-cf", "-", "-C", base, "outside"], { stdio: ["ignore", "pipe", "inherit"] }).stdout;
    await images.importTar(image, tar);
    const runtime = createDockerRuntime({ docker, clock, logger, instance });
    try {
      expect(await emptyAsRoot({ path: workspace, id: "t.clean", labels: {}, docker: runtime, image })).toBe(true);
      expect(await readdir(workspace)).toEqual([]);
      expect(await runtime.list({})).toEqual([]);
      expect(existsSync(join(base, "outside"))).toBe(true);
      expect(await removeWorkspace(workspace)).toBe(true);
    } finally {
      await images.remove(image);
    }
  });
});
