import type { Repository } from "@kedge/proto";
import { stringify } from "yaml";
import { formatDuration } from "../quantities.ts";
import { FORGES } from "./repository-schema.ts";

/** A repository as the file that `parseRepository` reads back to the same repository. What has its default is left out. */
export function formatRepository(repository: Repository): string {
  const { pollSeconds, allowPrivate } = repository;
  const fields = {
    repository: repository.name,
    url: repository.url,
    forge: FORGES[repository.forge - 1],
    "api-url": repository.apiUrl,
    "webhook-secrets": repository.webhookSecrets,
    token: repository.tokenSecret,
    user: repository.user,
    files: repository.files,
    pipelines: repository.pipelines,
    "default-branch": repository.defaultBranch,
    "status-context": repository.statusContext,
    "run-url": repository.runUrl,
    poll: pollSeconds === 0 ? undefined : formatDuration(pollSeconds),
    "trusted-senders": repository.trustedSenders,
    "allow-private": allowPrivate ? true : undefined,
    team: repository.team,
  };
  const said = Object.entries(fields).filter(
    ([, value]) => value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0),
  );
  return stringify(Object.fromEntries(said), { lineWidth: 0 });
}
