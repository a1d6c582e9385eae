import { create } from "@bufbuild/protobuf";
import { type Diagnostic, Forge, type Repository, RepositorySchema } from "@kedge/proto";
import { readPlainFile } from "../plain-file.ts";
import { FORGES, type RepositoryFields, repositorySchema } from "./repository-schema.ts";

/** The repository, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface RepositoryResult {
  readonly repository?: Repository;
  readonly diagnostics: Diagnostic[];
}

/** Names that look like numbers are text. */
const AS_TEXT: ReadonlySet<unknown> = new Set(["default-branch", "user", "trusted-senders"]);

/** Reads a repository file. Never throws. `file` is the name used in diagnostics. */
export function parseRepository(text: string, file = "repository.yaml"): RepositoryResult {
  const { data, diagnostics } = readPlainFile(text, {
    file,
    called: "repository file",
    asWritten: (path) => AS_TEXT.has(path[0]),
    schema: repositorySchema,
  });
  return data === undefined ? { diagnostics } : { repository: compileRepository(data), diagnostics };
}

/** What is absent stays empty, which the controller takes for its default. */
function compileRepository(fields: RepositoryFields): Repository {
  return create(RepositorySchema, {
    name: fields.repository,
    url: fields.url,
    forge: fields.forge === undefined ? Forge.UNSPECIFIED : FORGES.indexOf(fields.forge) + 1,
    apiUrl: fields["api-url"] ?? "",
    webhookSecrets: fields["webhook-secrets"] ?? [],
    tokenSecret: fields.token ?? "",
    user: fields.user ?? "",
    files: fields.files ?? [],
    pipelines: fields.pipelines ?? [],
    defaultBranch: fields["default-branch"] ?? "",
    statusContext: fields["status-context"] ?? "",
    runUrl: fields["run-url"] ?? "",
    pollSeconds: fields.poll ?? 0,
    trustedSenders: fields["trusted-senders"] ?? [],
    allowPrivate: fields["allow-private"] ?? false,
    team: fields.team ?? "",
  });
}
