import type { Part } from "./text.ts";
import { literal } from "./text.ts";

/** An expression for what is known of a run. */
export const run = (field: string): string => `\${{ run.${field} }}`;

/** What Jenkins gives to every build, by what Kedge knows of a run. */
export const BUILT_IN: Readonly<Record<string, string>> = {
  BUILD_NUMBER: run("id"),
  BUILD_ID: run("id"),
  BUILD_TAG: `${run("pipeline")}-${run("id")}`,
  BUILD_DISPLAY_NAME: run("id"),
  JOB_NAME: run("pipeline"),
  JOB_BASE_NAME: run("pipeline"),
  BRANCH_NAME: run("branch"),
  GIT_BRANCH: run("branch"),
  GIT_LOCAL_BRANCH: run("branch"),
  GIT_COMMIT: run("commit"),
  TAG_NAME: run("tag"),
  CHANGE_ID: run("pull_request"),
  CHANGE_TARGET: run("base_branch"),
  CHANGE_BRANCH: run("branch"),
  CHANGE_AUTHOR: run("sender"),
};

/** What Jenkins gives to every step, by what Kedge gives. */
export const STEP_BUILT_IN: Readonly<Record<string, string>> = {
  WORKSPACE: "$KEDGE_WORKSPACE",
  NODE_NAME: "$KEDGE_NODE",
};

/** What Jenkins gives and Kedge does not. */
export const UNKNOWN_BUILT_IN = [
  ...["BUILD_URL", "JENKINS_URL", "JENKINS_HOME", "JOB_URL", "RUN_DISPLAY_URL", "EXECUTOR_NUMBER", "GIT_URL"],
  ...["GIT_PREVIOUS_COMMIT", "GIT_PREVIOUS_SUCCESSFUL_COMMIT", "CHANGE_TITLE", "CHANGE_URL", "CHANGE_FORK"],
] as const;

/** Variables that are known where something is converted: to texts with expressions of kedge.yaml. */
export class Scope {
  readonly #parent: Scope | undefined;
  readonly #values: ReadonlyMap<string, string>;
  /** Set by a shell before each script, for values that are known only there. */
  readonly exports: readonly string[];

  constructor(parent: Scope | undefined, values: ReadonlyMap<string, string>, exports: readonly string[] = []) {
    this.#parent = parent;
    this.#values = values;
    this.exports = [...(parent?.exports ?? []), ...exports];
  }

  /** As text of kedge.yaml; undefined when it is not known before a script runs. */
  get(name: string): string | undefined {
    return this.#values.get(name) ?? this.#parent?.get(name) ?? BUILT_IN[name];
  }

  /** Text of kedge.yaml for pieces that are all known before a script runs. */
  textOf(parts: readonly Part[] | undefined): string | undefined {
    if (parts === undefined) return undefined;
    let text = "";
    for (const part of parts) {
      const piece =
        part.kind === "text" ? literal(part.text) : part.kind === "variable" ? this.get(part.name) : undefined;
      if (piece === undefined) return undefined;
      text += piece;
    }
    return text;
  }
}
