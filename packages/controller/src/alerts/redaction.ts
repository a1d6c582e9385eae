import { clone } from "@bufbuild/protobuf";
import { KedgeError, REDACTED } from "@kedge/domain";
import { type AlertPolicy, AlertPolicySchema, type AlertReceiver, type AlertWebhook } from "@kedge/proto";

/** The policy as anybody may see it. */
export function redacted(policy: AlertPolicy): AlertPolicy {
  const shown = clone(AlertPolicySchema, policy);
  for (const { kind } of shown.receivers) {
    if (kind.case === "webhook" || kind.case === "slack") kind.value.url = redactedUrl(kind.value.url);
    if (kind.case === "webhook" && kind.value.signingSecret !== "") kind.value.signingSecret = REDACTED;
    if (kind.case === "webhook" || kind.case === "alertmanager") {
      for (const name of Object.keys(kind.value.headers)) kind.value.headers[name] = REDACTED;
    }
  }
  return shown;
}

/** Path and query of a webhook's address often are its only secret. */
function redactedUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined) return REDACTED;
  return parsed.pathname === "/" && parsed.search === "" ? url : `${parsed.origin}/${REDACTED}`;
}

/**
 * The wanted policy with the secrets of the one there is where it says so. A secret stays only with the address it was
 * given for: otherwise it could be drawn out by sending it elsewhere.
 *
 * @throws KedgeError INVALID_FIELD when there is nothing to keep.
 */
export function withKeptSecrets(wanted: AlertPolicy, stored: AlertPolicy): AlertPolicy {
  const policy = clone(AlertPolicySchema, wanted);
  for (const [i, receiver] of policy.receivers.entries()) {
    const before = stored.receivers.find(({ name }) => name === receiver.name);
    keepSecrets(receiver, before, `policy.receivers[${i}]`);
  }
  return policy;
}

function keepSecrets({ kind }: AlertReceiver, before: AlertReceiver | undefined, field: string): void {
  const old = before?.kind;
  if (kind.case === "slack") {
    const url = old?.case === "slack" ? old.value.url : undefined;
    kind.value.url = keptUrl(kind.value.url, url, `${field}.slack.url`);
  } else if (kind.case === "webhook") {
    keepWebhook(kind.value, old?.case === "webhook" ? old.value : undefined, `${field}.webhook`);
  } else if (kind.case === "alertmanager") {
    const source = old?.case === "alertmanager" ? old.value : undefined;
    const same = kind.value.urls.every((url) => source?.urls.includes(url)) ? source : undefined;
    keepHeaders(kind.value.headers, same?.headers, `${field}.alertmanager.headers`);
  }
}

function keepWebhook(webhook: AlertWebhook, before: AlertWebhook | undefined, field: string): void {
  webhook.url = keptUrl(webhook.url, before?.url, `${field}.url`);
  const same = before?.url === webhook.url ? before : undefined;
  webhook.signingSecret = kept(webhook.signingSecret, same?.signingSecret, `${field}.signing_secret`);
  keepHeaders(webhook.headers, same?.headers, `${field}.headers`);
}

function keptUrl(wanted: string, stored: string | undefined, field: string): string {
  if (!wanted.includes(REDACTED) && !wanted.includes(encodeURI(REDACTED))) return wanted;
  if (stored !== undefined && wanted === redactedUrl(stored)) return stored;
  throw nothingToKeep(field);
}

function keepHeaders(
  headers: Record<string, string>,
  stored: Readonly<Record<string, string>> | undefined,
  field: string,
): void {
  const before = new Map(Object.entries(stored ?? {}));
  for (const [name, value] of Object.entries(headers))
    headers[name] = kept(value, before.get(name), `${field}.${name}`);
}

function kept(wanted: string, stored: string | undefined, field: string): string {
  if (wanted !== REDACTED) return wanted;
  if (stored !== undefined && stored !== "") return stored;
  throw nothingToKeep(field);
}

function nothingToKeep(field: string): KedgeError {
  const message = `${field}: ${REDACTED} keeps the secret there is, but there is none for this receiver and address`;
  return new KedgeError("INVALID_FIELD", message, { field, hint: "Give the secret again." });
}
