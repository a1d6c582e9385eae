import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { Forge } from "@kedge/proto";

/** A webhook as it came in: nothing of it is to be believed yet. */
export interface RawHook {
  /** The value of a header by its lower-case name. */
  readonly header: (name: string) => string | undefined;
  readonly body: Uint8Array;
}

/** What is known of a webhook whose signature is right. */
export interface GenuineHook {
  readonly kind: "genuine";
  /** As the forge calls it, e.g. "push". */
  readonly event: string;
  /** As the forge calls the delivery; the signature need not cover it. */
  readonly forgeId: string;
  /** 32 hex digits, from what the signature covers: sent again by the forge or by somebody else it is the same. */
  readonly id: string;
}

/** Whether a webhook comes from whom it should. */
export type HookCheck = GenuineHook | { readonly kind: "refused"; readonly why: string };

const STANDARD_PREFIX = "whsec_";
/** How far a signed time may be off. */
const TOLERANCE_MS = 300_000;
const HEX = /^[0-9a-f]{64}$/;
const MAX_ID = 200;

/** Tells whether a webhook carries a signature that its forge would send; nothing is checked of it. */
export function hasSignature(forge: Forge, header: RawHook["header"]): boolean {
  return SIGNATURE_HEADERS[forge].some((name) => header(name) !== undefined);
}

const SIGNATURE_HEADERS: Readonly<Record<Forge, readonly string[]>> = {
  [Forge.UNSPECIFIED]: [],
  [Forge.GITHUB]: ["x-hub-signature-256"],
  [Forge.GITLAB]: ["webhook-signature", "x-gitlab-token"],
  [Forge.GITEA]: ["x-forgejo-signature", "x-gitea-signature"],
};

/**
 * Checks a webhook over its raw bytes, in constant time, against each secret. Never throws. Of several headers only the
 * strongest counts: a bad one is not made good by another.
 */
export function checkHook(forge: Forge, hook: RawHook, options: CheckOptions): HookCheck {
  const secrets = options.secrets.filter((secret) => secret !== "");
  if (secrets.length === 0) return refused("there is no secret to check it with");
  switch (forge) {
    case Forge.GITHUB:
      return checkGithub(hook, secrets);
    case Forge.GITLAB:
      return checkGitlab(hook, { ...options, secrets });
    case Forge.GITEA:
      return checkGitea(hook, secrets);
    case Forge.UNSPECIFIED:
      return refused("the repository has no forge");
    default:
      return forge satisfies never;
  }
}

/** What webhooks are checked against. */
export interface CheckOptions {
  readonly secrets: readonly string[];
  readonly nowMs: number;
}

/** Validating webhook deliveries, GitHub documentation; its older SHA-1 header is not looked at. */
function checkGithub({ header, body }: RawHook, secrets: readonly string[]): HookCheck {
  const [, signature] = /^sha256=([0-9a-f]{64})$/.exec(header("x-hub-signature-256") ?? "") ?? [];
  if (signature === undefined) return refused("X-Hub-Signature-256 is missing or not of its form");
  if (!isSigned(signature, body, secrets)) return refused("the signature does not fit");
  return genuine(header("x-github-event"), header("x-github-delivery"), ["body", body]);
}

function checkGitea({ header, body }: RawHook, secrets: readonly string[]): HookCheck {
  const signature = header("x-forgejo-signature") ?? header("x-gitea-signature") ?? "";
  if (!HEX.test(signature)) return refused("X-Gitea-Signature is missing or not of its form");
  if (!isSigned(signature, body, secrets)) return refused("the signature does not fit");
  const event = header("x-forgejo-event") ?? header("x-gitea-event");
  return genuine(event, header("x-forgejo-delivery") ?? header("x-gitea-delivery"), ["body", body]);
}

function checkGitlab(hook: RawHook, options: CheckOptions): HookCheck {
  const { header, body } = hook;
  const event = header("x-gitlab-event");
  if (header("webhook-signature") !== undefined) return checkStandard(hook, options);
  const token = header("x-gitlab-token");
  if (token === undefined) return refused("X-Gitlab-Token and webhook-signature are missing");
  if (!anyOf(options.secrets, (secret) => isSame(token, secret))) return refused("the token does not fit");
  const forgeId = header("idempotency-key") ?? header("x-gitlab-event-uuid");
  return genuine(event, forgeId, forgeId === undefined ? ["body", body] : ["id", forgeId]);
}

/** Standard Webhooks 1.0: id and time are signed with the body. */
function checkStandard({ header, body }: RawHook, { secrets, nowMs }: CheckOptions): HookCheck {
  const id = header("webhook-id") ?? "";
  const timestamp = header("webhook-timestamp") ?? "";
  if (id === "" || id.length > MAX_ID || !/^\d{1,12}$/.test(timestamp)) {
    return refused("webhook-id or webhook-timestamp is missing or not of its form");
  }
  const said = (header("webhook-signature") ?? "").split(" ").filter((each) => each.startsWith("v1,"));
  const expected = secrets
    .filter((secret) => secret.startsWith(STANDARD_PREFIX))
    .map((secret) => {
      const key = Buffer.from(secret.slice(STANDARD_PREFIX.length), "base64");
      const signature = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
      return `v1,${signature}`;
    });
  const fits = anyOf(expected, (one) => anyOf(said.slice(0, 10), (other) => isSame(one, other)));
  if (!fits) return refused("the signature does not fit");
  if (Math.abs(nowMs - Number(timestamp) * 1000) > TOLERANCE_MS) return refused("it was signed too long ago, or ahead");
  return genuine(header("x-gitlab-event"), id, ["id", id]);
}

function isSigned(signature: string, body: Uint8Array, secrets: readonly string[]): boolean {
  return anyOf(secrets, (secret) => isSame(signature, createHmac("sha256", secret).update(body).digest("hex")));
}

/** Looks at all of them, whichever fits. */
function anyOf<T>(all: readonly T[], fits: (one: T) => boolean): boolean {
  return all.map(fits).includes(true);
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function genuine(
  event: string | undefined,
  forgeId: string | undefined,
  [what, identity]: readonly [string, Uint8Array | string],
): HookCheck {
  if (event === undefined || event === "" || event.length > MAX_ID) return refused("the event header is missing");
  const id = createHash("sha256").update(`${what}\n`).update(identity).digest("hex").slice(0, 32);
  return { kind: "genuine", event, forgeId: (forgeId ?? "").slice(0, MAX_ID), id };
}

function refused(why: string): HookCheck {
  return { kind: "refused", why };
}
