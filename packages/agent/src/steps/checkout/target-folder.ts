import { lstat, mkdir, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { resolveInside } from "../../tasks/workspace.ts";
import { StepFailure } from "../step-failure.ts";

/** Where git and Subversion keep what they would believe. */
const METADATA = [".git", ".svn"];

/**
 * The folder of the workspace that a checkout goes into, made if need be. No link is followed out of the workspace, and
 * what an earlier step left as the folder's repository is gone: its settings could name programs to run.
 *
 * @throws StepFailure INVALID when the path leads outside or to something that is no folder.
 */
export async function prepareTarget(workspace: string, path: string): Promise<string> {
  const target = await makeInside(workspace, path);
  for (const name of METADATA) await rm(join(target, name), { recursive: true, force: true });
  return target;
}

async function makeInside(workspace: string, path: string): Promise<string> {
  let made = await realpath(workspace);
  if (path === "") return made;
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (path.startsWith("/") || names.includes("..") || names.some((name) => METADATA.includes(name.toLowerCase()))) {
    throw new StepFailure(
      "INVALID",
      `checkout.path: ${JSON.stringify(path.slice(0, 200))} is no folder of the workspace`,
    );
  }
  let inside = "";
  for (const name of names) {
    inside = join(inside, name);
    await mkdir(join(made, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    made = await resolveInside(workspace, inside, "checkout.path");
    if (!(await lstat(made)).isDirectory()) throw new StepFailure("INVALID", `checkout.path: ${inside} is no folder`);
  }
  return made;
}
