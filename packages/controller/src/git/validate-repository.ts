import { isIP } from "node:net";
import { assertName, baseUrlProblem, KedgeError } from "@kedge/domain";
import { Forge, type Repository } from "@kedge/proto";
import { assertFetchable, assertRefName } from "@kedge/runtime/git";
import { whyRefused } from "../alerts/addresses.ts";
import { apiUrl } from "./forge-status-request.ts";

const SECRET = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/;
const CONTEXT = /^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,39}$/;
const MAX_SECRETS = 5;
const MAX_PIPELINES = 20;
const MAX_SENDERS = 500;
const MIN_POLL_SECONDS = 10;
const MAX_POLL_SECONDS = 7 * 86_400;

/** Checks a repository that somebody wants to have. @throws KedgeError INVALID_FIELD, naming the field. */
export function assertRepository(repository: Repository): void {
  const { name, url, forge, defaultBranch, pollSeconds, statusContext, team } = repository;
  assertName("repository", name, "repository.name");
  assertFetchable(url, "repository.url");
  if (Forge[forge] === undefined) throw invalid("forge", "is none that this controller knows");
  if (defaultBranch !== "") assertRefName(defaultBranch, "repository.default_branch");
  if (statusContext !== "" && !CONTEXT.test(statusContext)) {
    throw invalid("status_context", "must have up to 40 letters, digits, blanks, dots, slashes and dashes");
  }
  if (pollSeconds !== 0 && (pollSeconds < MIN_POLL_SECONDS || pollSeconds > MAX_POLL_SECONDS)) {
    throw invalid("poll_seconds", `must be 0 or ${MIN_POLL_SECONDS} to ${MAX_POLL_SECONDS}`);
  }
  if (team !== "") assertName("team", team, "repository.team");
  assertPipelines(repository);
  assertSecrets(repository);
  assertAddresses(repository);
  const isSound = (sender: string): boolean => sender !== "" && sender.length <= 200;
  if (repository.trustedSenders.length > MAX_SENDERS || !repository.trustedSenders.every(isSound)) {
    throw invalid("trusted_senders", `must be at most ${MAX_SENDERS} names`);
  }
}

function assertPipelines({ files, pipelines }: Repository): void {
  if (files.length + pipelines.length > MAX_PIPELINES) throw invalid("files", `must be at most ${MAX_PIPELINES}`);
  for (const [i, file] of files.entries()) {
    const isInner = /^[^/\p{Cc}][^\p{Cc}]*$/u.test(file) && !file.split("/").includes("..");
    if (!isInner || file.length > 500) throw invalid(`files[${i}]`, 'must be a relative path without ".."');
  }
  for (const [i, pipeline] of pipelines.entries()) assertName("pipeline", pipeline, `repository.pipelines[${i}]`);
}

function assertSecrets({ webhookSecrets, tokenSecret, forge, user }: Repository): void {
  if (webhookSecrets.length > MAX_SECRETS) throw invalid("webhook_secrets", `must be at most ${MAX_SECRETS}`);
  if (webhookSecrets.length > 0 && forge === Forge.UNSPECIFIED) {
    throw invalid("webhook_secrets", "need a forge that sends webhooks");
  }
  const named = [...webhookSecrets, ...(tokenSecret === "" ? [] : [tokenSecret])];
  if (!named.every((name) => SECRET.test(name))) {
    throw invalid("webhook_secrets", "and token_secret must be names of secrets, not the secrets themselves");
  }
  if (/[:\p{Cc}]/u.test(user) || user.length > 200) throw invalid("user", "must be a user's name");
}

function assertAddresses(repository: Repository): void {
  const { forge, apiUrl: given, runUrl, tokenSecret, allowPrivate } = repository;
  if (given !== "") {
    const problem = baseUrlProblem(given);
    if (problem !== undefined) throw invalid("api_url", `must be ${problem}`);
  }
  if (forge !== Forge.UNSPECIFIED && tokenSecret !== "") {
    const host = new URL(apiUrl(repository)).hostname.replace(/^\[|\]$/g, "");
    const why = isIP(host) === 0 ? undefined : whyRefused(host, allowPrivate);
    if (why !== undefined)
      throw invalid("api_url", `is refused: ${why.replace("of the receiver", "of the repository")}`);
  }
  const runProblem = runUrl === "" ? undefined : baseUrlProblem(runUrl.replaceAll("{run}", "x"));
  if (runProblem !== undefined) throw invalid("run_url", `must be ${runProblem}`);
}

function invalid(field: string, message: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `repository.${field} ${message}`, { field: `repository.${field}` });
}
