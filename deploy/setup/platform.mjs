// What this machine is and may do.
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** An error whose message tells the reader everything; printed without a stack. */
export class SetupError extends Error {}

/** Path of a program in PATH or the system folders; undefined when there is none. */
export function findProgram(name) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Identifiers of the distribution, its own first: ["debian"] or ["ubuntu", "debian"]; empty elsewhere. */
export function distributions() {
  try {
    const fields = Object.fromEntries(
      readFileSync("/etc/os-release", "utf8")
        .split("\n")
        .map((line) => line.split("="))
        .map(([key, value]) => [key, value?.replaceAll('"', "")]),
    );
    return [fields.ID, ...(fields.ID_LIKE ?? "").split(" ")].filter(Boolean);
  } catch {
    return [];
  }
}

/** Tells whether Debian packages can be installed here: Debian or Ubuntu, as root. */
export function mayInstall() {
  return process.getuid?.() === 0 && distributions().includes("debian") && findProgram("apt-get") !== undefined;
}

export function describeFailure(error) {
  return error instanceof SetupError ? `set-up: ${error.message}` : (error?.stack ?? String(error));
}
