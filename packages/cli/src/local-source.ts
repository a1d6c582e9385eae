import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { KedgeError } from "@kedge/domain";

const run = promisify(execFile);

/** What the command line says of a run's source. */
export interface SourceOptions {
  readonly repo?: string;
  readonly commit?: string;
  readonly ref?: string;
}

/** A run's source as the API takes it. */
export interface RunSource {
  readonly repository: string;
  readonly commit: string;
  readonly ref: string;
}

/**
 * The source that the options name. A folder on this machine is made absolute, and without a commit the one that its
 * ref, or its HEAD, stands at now is taken, so that the run stays bound to it.
 *
 * @throws KedgeError INVALID_OPTION for a folder that git does not know, or a ref that is not there.
 */
export async function runSource({ repo = "", commit = "", ref = "" }: SourceOptions): Promise<RunSource> {
  const folder = resolve(repo);
  const isFolder =
    repo !== "" &&
    (await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    ));
  if (!isFolder) return { repository: repo, commit, ref };
  if (commit !== "") return { repository: folder, commit, ref };
  try {
    const args = ["-C", folder, "rev-parse", "--verify", "--end-of-options", `${ref || "HEAD"}^{commit}`];
    const { stdout } = await run("git", args);
    return { repository: folder, commit: stdout.trim(), ref };
  } catch (cause) {
    throw new KedgeError("INVALID_OPTION", `${folder} has no commit ${ref || "HEAD"}`, {
      cause,
      field: ref === "" ? "--repo" : "--ref",
      hint: "Name a git repository with a commit, or give --commit.",
    });
  }
}
