import type { AlertReceiver } from "@kedge/proto";
import { alertmanagerMessage } from "./alertmanager-message.ts";
import { type Post, type PostOutcome, post, type Sending } from "./http-post.ts";
import type { Notice } from "./notice.ts";
import { slackMessage } from "./slack-message.ts";
import { webhookMessage } from "./webhook-message.ts";

/** Tells a receiver, once. Of several servers one that takes it is enough. Never throws. */
export async function deliver(receiver: AlertReceiver, notice: Notice, sending: Sending): Promise<PostOutcome> {
  const posts = postsOf(receiver, notice);
  const outcomes = await Promise.all(posts.map((one) => post(one, sending)));
  const taken = outcomes.find(({ kind }) => kind === "taken");
  return taken ?? outcomes[0] ?? { kind: "failed", error: "the receiver has no address" };
}

/** Tells whether a receiver forgets what it is not told again, and reminds people by itself. */
export function isRefreshed({ kind }: AlertReceiver): boolean {
  return kind.case === "alertmanager";
}

function postsOf({ kind, allowPrivate }: AlertReceiver, notice: Notice): Post[] {
  switch (kind.case) {
    case "webhook":
      return [{ ...webhookMessage(kind.value, notice), url: kind.value.url, allowPrivate }];
    case "slack":
      return [{ ...slackMessage(notice), url: kind.value.url, allowPrivate }];
    case "alertmanager": {
      const message = alertmanagerMessage(kind.value.headers, notice);
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
