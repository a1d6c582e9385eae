import type { AlertAlertmanager, AlertReceiver, AlertWebhook } from "@kedge/proto";
import { alertmanagerMessage } from "./alertmanager-message.ts";
import { type Post, type PostOutcome, post, type Sending } from "./http-post.ts";
import type { Notice } from "./notice.ts";
import { slackMessage } from "./slack-message.ts";
import { type Message, webhookMessage } from "./webhook-message.ts";

/** What is told, in the words of each kind of receiver. */
export interface Telling {
  readonly webhook: (receiver: AlertWebhook) => Message;
  readonly slack: () => Message;
  readonly alertmanager: (receiver: AlertAlertmanager) => Message;
}

/** Tells a receiver of an incident, once. Never throws. */
export function deliver(receiver: AlertReceiver, notice: Notice, sending: Sending): Promise<PostOutcome> {
  const telling: Telling = {
    webhook: (webhook) => webhookMessage(webhook, notice),
    slack: () => slackMessage(notice),
    alertmanager: ({ headers }) => alertmanagerMessage(headers, notice),
  };
  return tell(receiver, telling, sending);
}

/** Tells a receiver something, once. Of several servers one that takes it is enough. Never throws. */
export async function tell(receiver: AlertReceiver, telling: Telling, sending: Sending): Promise<PostOutcome> {
  const posts = postsOf(receiver, telling);
  const outcomes = await Promise.all(posts.map((one) => post(one, sending)));
  const taken = outcomes.find(({ kind }) => kind === "taken");
  return taken ?? outcomes[0] ?? { kind: "failed", error: "the receiver has no address" };
}

/** Tells whether a receiver forgets what it is not told again, and reminds people by itself. */
export function isRefreshed({ kind }: AlertReceiver): boolean {
  return kind.case === "alertmanager";
}

function postsOf({ kind, allowPrivate }: AlertReceiver, telling: Telling): Post[] {
  switch (kind.case) {
    case "webhook":
      return [{ ...telling.webhook(kind.value), url: kind.value.url, allowPrivate }];
    case "slack":
      return [{ ...telling.slack(), url: kind.value.url, allowPrivate }];
    case "alertmanager": {
      const message = telling.alertmanager(kind.value);
      return kind.value.urls.map((url) => ({
        ...message,
        url: `${url.replace(/\/+$/, "")}/api/v2/alerts`,
        allowPrivate,
      }));
    }
    case undefined:
      return [];
    default:
      return kind satisfies never;
  }
}
