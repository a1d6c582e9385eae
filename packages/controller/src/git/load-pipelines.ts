import { isKedgeError } from "@kedge/domain";
import { pipelineTriggers } from "@kedge/pipeline";
import type { Repository, Trigger } from "@kedge/proto";
import { diagnosticText } from "../services/diagnostic-text.ts";
import type { Stores } from "../stores.ts";
import type { Clone } from "./git-cache.ts";
import { filesOf } from "./repository-defaults.ts";

/** A pipeline that a change may start. */
export interface LoadedPipeline {
  /** Where it is from, e.g. "file kedge.yaml". */
  readonly from: string;
  /** Path in the repository; empty: an applied one. */
  readonly file: string;
  readonly name: string;
  readonly source: string;
  readonly triggers: readonly Trigger[];
}

/** One that cannot be read. */
export interface BrokenPipeline {
  readonly from: string;
  readonly problem: string;
}

/** What a repository's pipelines are at a commit. */
export interface LoadedPipelines {
  readonly pipelines: readonly LoadedPipeline[];
  readonly broken: readonly BrokenPipeline[];
  /** Files that the commit does not have. */
  readonly missing: readonly string[];
}

/** Reads the files of a repository at a fetched commit, and its applied pipelines. @throws KedgeError GIT_FAILED, TIMEOUT. */
export async function loadPipelines(
  { repository, commit, clone }: { readonly repository: Repository; readonly commit: string; readonly clone: Clone },
  stores: Pick<Stores, "pipelines">,
): Promise<LoadedPipelines> {
  const pipelines: LoadedPipeline[] = [];
  const broken: BrokenPipeline[] = [];
  const missing: string[] = [];
  const take = (source: string, file: string, from: string): void => {
    const { pipeline, diagnostics } = pipelineTriggers(source, file || undefined);
    if (pipeline === undefined) broken.push({ from, problem: diagnosticText(diagnostics) });
    else pipelines.push({ from, file, name: pipeline.name, source, triggers: pipeline.triggers });
  };
  for (const file of filesOf(repository)) {
    const from = `file ${file}`;
    const text = await readFile(clone, commit, file);
    if (text === undefined) missing.push(file);
    else if (text.tooLarge) broken.push({ from, problem: `${file} is larger than 1 MiB` });
    else take(text.source, file, from);
  }
  for (const name of repository.pipelines) {
    const from = `pipeline ${name}`;
    const stored = stores.pipelines.get(name)?.value;
    if (stored === undefined) broken.push({ from, problem: `no pipeline is called ${name}; apply it` });
    else take(stored.source, "", from);
  }
  return { pipelines, broken, missing };
}

async function readFile(clone: Clone, commit: string, path: string) {
  try {
    const source = await clone.file(commit, path);
    return source === undefined ? undefined : { source, tooLarge: false };
  } catch (error) {
    if (isKedgeError(error, "TOO_LARGE")) return { source: "", tooLarge: true };
    throw error;
  }
}
