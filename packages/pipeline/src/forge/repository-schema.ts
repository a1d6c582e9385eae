import { baseUrlProblem } from "@kedge/domain";
import { z } from "zod";
import { duration, early, innerPath, name, report, someText } from "../fields.ts";

/** Forges as files name them, in the order of the enum, which begins with UNSPECIFIED. */
export const FORGES = ["github", "gitlab", "gitea"] as const;

const MAX_PIPELINES = 20;

const secretName = early(
  (value) => /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/.test(value),
  "the name of a secret, as kedge secret set takes it",
);

const httpAddress = z.string().superRefine((value, ctx) => {
  const expected = baseUrlProblem(value);
  if (expected !== undefined) report(ctx, `must be ${expected}`);
});

/** A repository file. */
export const repositorySchema = z
  .strictObject({
    repository: name("repository").meta({ description: "Its name in Kedge." }),
    url: someText.meta({ description: "That git can fetch; without user and password." }),
    forge: z.enum(FORGES).optional().meta({ description: "Default: none; gitea stands for Forgejo as well." }),
    "api-url": httpAddress.optional().meta({ description: "Default: follows from url." }),
    "webhook-secrets": z
      .array(secretName)
      .min(1)
      .max(5)
      .optional()
      .meta({ description: "Names of secrets; a webhook signed with any of them is taken. None: no webhooks." }),
    token: secretName.optional().meta({ description: "Name of the secret that opens git and the forge's API." }),
    user: someText.optional().meta({ description: "User that goes with the token; default: what the forge wants." }),
    files: z
      .array(innerPath)
      .min(1)
      .max(MAX_PIPELINES)
      .optional()
      .meta({ description: "Pipeline files in the repository. Default: kedge.yaml, unless pipelines are named." }),
    pipelines: z.array(name("pipeline")).min(1).max(MAX_PIPELINES).optional().meta({ description: "Applied ones." }),
    "default-branch": someText.optional().meta({ description: "Default: main." }),
    "status-context": early(
      (value) => /^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,39}$/.test(value),
      "up to 40 letters, digits, blanks, dots, slashes and dashes",
    )
      .optional()
      .meta({ description: "First part of the names of commit statuses. Default: kedge." }),
    "run-url": someText.optional().meta({ description: "Address that statuses lead to; {run} stands for the run." }),
    poll: duration.optional().meta({ description: "Look for new heads of branches this often. At least 10s." }),
    "trusted-senders": z
      .array(someText)
      .max(500)
      .optional()
      .meta({ description: "Users of the forge whose own pull requests from forks need nobody's word." }),
    "allow-private": z
      .boolean()
      .optional()
      .meta({ description: "The forge's API is on a private or loopback address." }),
    team: name("team").optional().meta({ description: "Whose share and quota its runs use." }),
  })
  .superRefine((value, ctx) => {
    if (value.poll !== undefined && value.poll < 10) report(ctx, "must be at least 10s", { path: ["poll"] });
    if (value["webhook-secrets"] === undefined || value.forge !== undefined) return;
    report(ctx, "webhooks need a forge that sends them", { path: ["webhook-secrets"], hint: "add forge: github" });
  });

/** A repository file once it is checked. */
export type RepositoryFields = z.output<typeof repositorySchema>;

/** The JSON Schema (draft 2020-12) of a repository file, for editors. */
export function repositoryJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(repositorySchema, { io: "input" }), title: "Kedge repository" };
}
