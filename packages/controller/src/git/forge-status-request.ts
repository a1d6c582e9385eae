import { KedgeError } from "@kedge/domain";
import { CommitState, type CommitStatus, Forge, type Repository } from "@kedge/proto";
import type { Post } from "../alerts/http-post.ts";

const GITHUB: Readonly<Record<CommitState, string>> = {
  [CommitState.UNSPECIFIED]: "pending",
  [CommitState.PENDING]: "pending",
  [CommitState.RUNNING]: "pending",
  [CommitState.SUCCESS]: "success",
  [CommitState.FAILURE]: "failure",
  [CommitState.ERROR]: "error",
};

const GITLAB: Readonly<Record<CommitState, string>> = {
  [CommitState.UNSPECIFIED]: "pending",
  [CommitState.PENDING]: "pending",
  [CommitState.RUNNING]: "running",
  [CommitState.SUCCESS]: "success",
  [CommitState.FAILURE]: "failed",
  [CommitState.ERROR]: "failed",
};

/**
 * The request that tells a forge of a commit's status.
 *
 * @throws KedgeError INVALID_FIELD when the repository's address does not say where its API is.
 */
export function statusRequest(repository: Repository, status: CommitStatus, token: string): Post {
  const { forge, allowPrivate } = repository;
  const { commit, context, description, state } = status;
  const link = runLink(repository, status.runId);
  const shared = { description, ...(link === "" ? {} : { target_url: link }) };
  const place = `${apiUrl(repository)}${projectPath(repository)}/statuses/${encodeURIComponent(commit)}`;
  const fields = forge === Forge.GITLAB ? { state: GITLAB[state], name: context } : { state: GITHUB[state], context };
  return { url: place, body: JSON.stringify({ ...fields, ...shared }), headers: headersOf(forge, token), allowPrivate };
}

/** Where the forge's API is, without a slash at the end: as it is told, or where it is by default. */
export function apiUrl({ forge, url, apiUrl: given }: Pick<Repository, "forge" | "url" | "apiUrl">): string {
  if (given !== "") return given.replace(/\/+$/, "");
  const origin = webOrigin(url);
  switch (forge) {
    case Forge.GITHUB:
      return origin === "https://github.com" ? "https://api.github.com" : `${origin}/api/v3`;
    case Forge.GITLAB:
      return `${origin}/api/v4`;
    case Forge.GITEA:
      return `${origin}/api/v1`;
    case Forge.UNSPECIFIED:
      throw noApi("the repository has no forge");
    default:
      return forge satisfies never;
  }
}

/** Where the forge is on the web: of an address for ssh only the host says something. */
function webOrigin(url: string): string {
  const scpHost = /^[^/@]+@([^:/]+):/.exec(url)?.[1];
  if (scpHost !== undefined) return `https://${scpHost}`;
  const { protocol, host, hostname } = URL.canParse(url) ? new URL(url) : { protocol: "", host: "", hostname: "" };
  if (hostname === "") throw noApi("url does not say where the forge's API is");
  return protocol.startsWith("http") ? `${protocol}//${host}` : `https://${hostname}`;
}

function projectPath({ forge, url }: Repository): string {
  const path = url
    .replace(/^[a-z]+:\/\/[^/]*\//i, "")
    .replace(/^[^/@]+@[^:/]+:/, "")
    .replace(/^\/+|\/+$/g, "")
    .replace(/\.git$/, "");
  if (forge === Forge.GITLAB) return `/projects/${encodeURIComponent(path)}`;
  // What is in front of the last two is where the forge itself is.
  return `/repos/${path.split("/").slice(-2).map(encodeURIComponent).join("/")}`;
}

function headersOf(forge: Forge, token: string): Record<string, string> {
  if (forge === Forge.GITLAB) return { "private-token": token };
  if (forge === Forge.GITEA) return { authorization: `token ${token}` };
  return {
    authorization: `Bearer ${token}`,
    accept: "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
  };
}

function runLink({ runUrl }: Repository, runId: string): string {
  return runId === "" ? "" : runUrl.replaceAll("{run}", runId);
}

function noApi(message: string): KedgeError {
  return new KedgeError("INVALID_FIELD", message, { field: "api_url", hint: "give api-url" });
}
