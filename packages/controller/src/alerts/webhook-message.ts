import { createHmac } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { type AlertWebhook, IncidentSchema } from "@kedge/proto";
import { noticeWord, seriesWords } from "./incident-words.ts";
import type { Notice } from "./notice.ts";

/** Body and headers of a request. */
export interface Message {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The generic webhook: type, timestamp and data, as Standard Webhooks advises; the README has the schema. */
export function webhookMessage(webhook: AlertWebhook, notice: Notice): Message {
  const { incident, id, number, links, nowMs } = notice;
  const data = {
    id,
    number,
    incident: toJson(IncidentSchema, incident) as JsonObject,
    graph: { svg: links.svg, png: links.png, text: incident.series.map(seriesWords) },
  };
  return standardWebhook(webhook, { type: `incident.${noticeWord(notice.notice)}`, id, nowMs, data });
}

/** What a webhook is told. */
export interface WebhookEvent {
  readonly type: string;
  /** Stable over all attempts. */
  readonly id: string;
  readonly nowMs: number;
  readonly data: JsonObject;
}

/** A request as Standard Webhooks has it, signed if the receiver has a secret. */
export function standardWebhook({ signingSecret, headers }: AlertWebhook, event: WebhookEvent): Message {
  const { type, id, nowMs, data } = event;
  const body = JSON.stringify({ type, timestamp: new Date(nowMs).toISOString(), data });
  const timestamp = Math.floor(nowMs / 1000);
  const signature = signingSecret === "" ? {} : { "webhook-signature": sign(signingSecret, { id, timestamp, body }) };
  return { body, headers: { ...headers, "webhook-id": id, "webhook-timestamp": String(timestamp), ...signature } };
}

/**
 * The signature of Standard Webhooks 1.0: HMAC-SHA256 over id, timestamp (seconds) and body, keyed with the bytes of
 * "whsec_" and base64.
 */
export function sign(
  secret: string,
  { id, timestamp, body }: { readonly id: string; readonly timestamp: number; readonly body: string },
): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
}
