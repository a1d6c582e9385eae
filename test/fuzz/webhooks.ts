import { createHmac } from "node:crypto";
import { parseForgeEvent } from "@kedge/pipeline/forge";
import { Forge } from "@kedge/proto";
import { jsonOf } from "../../packages/controller/src/git/hook-body.ts";
import { checkHook, hasSignature } from "../../packages/controller/src/git/signatures.ts";
import { githubPullRequest, githubPush, gitlabMergeRequest, gitlabPush } from "./payloads.ts";
import type { FuzzTarget } from "./targets.ts";

const SECRET = "hush";
const NOW_MS = 1_763_629_872_000;
const FORGES = [Forge.GITHUB, Forge.GITLAB, Forge.GITEA] as const;
const EVENTS = ["push", "pull_request", "create", "Push Hook", "Tag Push Hook", "Merge Request Hook", "ping"] as const;
const HEADERS = [
  ...["x-hub-signature-256", "x-github-event", "x-github-delivery", "x-gitlab-event", "x-gitlab-token"],
  ...["webhook-signature", "webhook-id", "webhook-timestamp", "x-gitea-signature", "x-gitea-event"],
] as const;

/** Webhooks: bodies, signed and not, and headers that hold anything. */
export const webhookTarget: FuzzTarget = {
  name: "webhooks",
  seeds: [githubPush, githubPullRequest, gitlabPush, gitlabMergeRequest],
  holes: [
    (text) => text,
    (text) => JSON.stringify({ ...JSON.parse(githubPush), ref: `refs/heads/${text}` }),
    (text) => githubPush.replace('"commits":[', `"commits":[${'{"added":["a"]},'.repeat(text.length / 16)}`),
    (text) => `payload=${encodeURIComponent(text.toWellFormed())}`,
  ],
  read: readWebhook,
};

function readWebhook(text: string): void {
  const body = Buffer.from(text);
  const json = jsonOf(body);
  for (const forge of FORGES) {
    if (json === undefined) continue;
    for (const event of [...EVENTS, text.slice(0, 300)]) parseForgeEvent(forge, event, json.value);
  }
  refuseHeaders(text, body);
  takeSigned(body);
}

/** Whatever the headers say, without the secret nobody gets in. */
function refuseHeaders(text: string, body: Uint8Array): void {
  const values = new Map(HEADERS.map((name, i) => [name as string, text.slice(i * 7, i * 7 + 200)]));
  const header = (name: string): string | undefined => values.get(name);
  for (const forge of FORGES) {
    if (!hasSignature(forge, header)) throw new Error("a signature that is there was not seen");
    const check = checkHook(forge, { header, body }, { secrets: [SECRET], nowMs: NOW_MS });
    if (check.kind === "genuine") throw new Error("let in without the secret");
  }
}

function takeSigned(body: Uint8Array): void {
  const signature = createHmac("sha256", SECRET).update(body).digest("hex");
  const values: Record<string, string> = { "x-hub-signature-256": `sha256=${signature}`, "x-github-event": "push" };
  const check = (bytes: Uint8Array) =>
    checkHook(Forge.GITHUB, { header: (name) => values[name], body: bytes }, { secrets: [SECRET], nowMs: NOW_MS });
  if (check(body).kind !== "genuine") throw new Error("what is signed was refused");
  if (check(Buffer.concat([body, Buffer.from(" ")])).kind !== "refused") throw new Error("a changed body was taken");
}
