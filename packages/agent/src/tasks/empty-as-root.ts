import { existsSync } from "node:fs";
import type { Mount, Runtime } from "@kedge/runtime";

/** A folder whose content this process may not remove. */
export interface LockedFolder {
  /** Absolute path. */
  readonly path: string;
  /** Id of the workload that does it. */
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly docker: Runtime;
  /** Any image that is there; nothing in it is used. */
  readonly image: string;
}

/** Where programs and their libraries are on this machine. */
const PROGRAM_FOLDERS = ["/bin", "/lib", "/lib64", "/usr"];
const FIND = "/usr/bin/find";
const LIMIT_MS = 120_000;

/**
 * Removes all that is in a folder with root's rights: files that containers made are theirs, and an agent need not be root.
 * A container does it with this machine's own programs, so that the image needs none.
 *
 * @returns whether the folder is empty now.
 * @throws KedgeError DOCKER_UNAVAILABLE, IMAGE_UNAVAILABLE.
 */
export async function emptyAsRoot({ path, id, labels, docker, image }: LockedFolder): Promise<boolean> {
  const present = PROGRAM_FOLDERS.filter((folder) => existsSync(folder));
  const mounts = present.map((folder): Mount => ({ source: folder, target: folder, readOnly: true }));
  const command = [FIND, "/workspace", "-mindepth", "1", "-delete"];
  const place = { workspace: path, mounts, user: "0:0", network: "none" };
  try {
    await docker.start({ id, labels, command, image, env: {}, ...place });
    const { exitCode } = await docker.wait(id, AbortSignal.timeout(LIMIT_MS));
    return exitCode === 0;
  } finally {
    await docker.remove(id);
  }
}
