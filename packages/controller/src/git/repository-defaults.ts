import { Forge, type Repository } from "@kedge/proto";

const DEFAULT_FILE = "kedge.yaml";
const DEFAULT_BRANCH = "main";
const DEFAULT_CONTEXT = "kedge";

/** Key of what was seen of a repository. */
export function stateKey(name: string): string {
  return `${name}.state`;
}

/** The branch that schedules are read from. */
export function defaultBranchOf({ defaultBranch }: Repository): string {
  return defaultBranch || DEFAULT_BRANCH;
}

/** Its pipeline files. */
export function filesOf({ files, pipelines }: Repository): readonly string[] {
  return files.length === 0 && pipelines.length === 0 ? [DEFAULT_FILE] : files;
}

/** First part of the names of its statuses. */
export function statusContextOf({ statusContext }: Repository): string {
  return statusContext || DEFAULT_CONTEXT;
}

/** Path of its webhooks on the controller's HTTP server; empty: it takes none. */
export function hookPathOf({ name, forge, webhookSecrets }: Repository): string {
  return forge === Forge.UNSPECIFIED || webhookSecrets.length === 0 ? "" : `/hooks/${name}`;
}

/** Where forges keep the head of a pull request. */
export function pullRequestRef(forge: Forge, number: bigint | number): string {
  return forge === Forge.GITLAB ? `refs/merge-requests/${number}/head` : `refs/pull/${number}/head`;
}
