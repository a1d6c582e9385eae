import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AlertNotice,
  AlertWebhookSchema,
  IncidentKind,
  IncidentSchema,
  IncidentSeverity,
  IncidentState,
} from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alertmanagerMessage } from "./alertmanager-message.ts";
import type { Notice } from "./notice.ts";
import { literal, slackMessage } from "./slack-message.ts";
import type { IncidentFields } from "./testing/incident-fields.ts";
import { sign, webhookMessage } from "./webhook-message.ts";

const OPENED_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const NOW_MS = OPENED_MS + 90_000;
const points = [1, 1, 2, 8].map((value, i) => ({ at: timestampFromMs(OPENED_MS + i * 5_000), value }));

function noticeOf(more: IncidentFields = {}, rest: Partial<Notice> = {}): Notice {
  const incident = create(IncidentSchema, {
    id: "01ke1vj5z8zzzzzzzzzzzzzzzz",
    kind: IncidentKind.ANOMALY,
    state: IncidentState.OPEN,
    severity: IncidentSeverity.CRITICAL,
    subject: { deployment: "vad", revision: 4, nodeId: "edge-1" },
    summary: "Errors of vad are far above what is usual",
    reason: "8 % of 1,200 requests failed in 20 s; usually 1 %",
    openedAt: timestampFromMs(OPENED_MS),
    series: [{ metric: "error rate", unit: "%", points, usual: 1 }],
    causes: [{ kind: "revision", name: "4", score: 0.9, reason: "the errors began with it" }],
    actions: [{ at: timestampFromMs(OPENED_MS), what: "brought revision 3 back" }],
    ...more,
  });
  const links = { svg: "https://k.example/i.svg?s=1", png: "https://k.example/i.png?s=1", arePublic: true };
  return { incident, notice: AlertNotice.OPENED, id: `${incident.id}.r.1`, number: 1, links, nowMs: NOW_MS, ...rest };
}

describe("webhook", () => {
  test("the signature is that of the specification's example", () => {
    const signature = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestamp: 1614265330,
      body: '{"test": 2432232314}',
    });
    expect(signature).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("has type, time and all there is to know, and signs exactly what is sent", () => {
    const signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const webhook = create(AlertWebhookSchema, { url: "https://a/", signingSecret, headers: { "X-Team": "a" } });
    const { body, headers } = webhookMessage(webhook, noticeOf());
    expect(JSON.parse(body)).toMatchObject({
      type: "incident.opened",
      timestamp: "2026-01-02T03:05:35.000Z",
      data: {
        id: "01ke1vj5z8zzzzzzzzzzzzzzzz.r.1",
        number: 1,
        incident: {
          kind: "INCIDENT_KIND_ANOMALY",
          subject: { deployment: "vad", revision: 4 },
          causes: [{ name: "4" }],
        },
        graph: { png: "https://k.example/i.png?s=1", text: ["error rate ▁▁▂█ 8 %, usually 1 %"] },
      },
    });
    const timestamp = NOW_MS / 1000;
    expect(headers).toEqual({
      "X-Team": "a",
      "webhook-id": "01ke1vj5z8zzzzzzzzzzzzzzzz.r.1",
      "webhook-timestamp": String(timestamp),
      "webhook-signature": sign(signingSecret, { id: "01ke1vj5z8zzzzzzzzzzzzzzzz.r.1", timestamp, body }),
    });
    const unsigned = webhookMessage(create(AlertWebhookSchema, { url: "https://a/" }), noticeOf());
    expect(unsigned.headers).not.toHaveProperty("webhook-signature");
  });
});

describe("Slack", () => {
  const message = (notice = noticeOf()) => JSON.parse(slackMessage(notice).body);

  test("says what, why, what it looks like, what is likely behind it and what was done", () => {
    expect(message()).toMatchObject({
      text: "Critical: Errors of vad are far above what is usual",
      parse: "none",
      attachments: [
        {
          color: "#cf222e",
          text: "8 % of 1,200 requests failed in 20 s; usually 1 %\nerror rate ▁▁▂█ 8 %, usually 1 %",
          image_url: "https://k.example/i.png?s=1",
          title_link: "https://k.example/i.svg?s=1",
          fields: [
            { title: "About", value: "deployment vad, revision 4, node edge-1" },
            { title: "Severity", value: "critical" },
            { title: "Likely causes", value: "• revision 4: the errors began with it" },
            { title: "What was done", value: "• brought revision 3 back" },
          ],
        },
      ],
    });
  });

  test("shows no picture where Slack could not load it", () => {
    const links = { svg: "http://127.0.0.1/a", png: "http://127.0.0.1/b", arePublic: false };
    expect(message(noticeOf({}, { links })).attachments[0]).not.toHaveProperty("image_url");
  });

  test("is green when it is over, and says how long it lasted", () => {
    const over = {
      state: IncidentState.RESOLVED,
      resolvedAt: timestampFromMs(OPENED_MS + 600_000),
      resolution: "normal",
    };
    const { text, attachments } = message(noticeOf(over, { notice: AlertNotice.RESOLVED }));
    expect(text).toMatch(/^Resolved: /);
    expect(attachments[0]).toMatchObject({
      color: "#1a7f37",
      text: expect.stringContaining("over after 10 min: normal"),
    });
  });

  test.each([
    ["<!channel> a", "&lt;!channel&gt; a"],
    ["@channel", "@\u200bchannel"],
    ["<https://evil.example|click>", "&lt;https:\u200b//evil.example|\u200bclick&gt;"],
    ["[click](https://evil.example)", "[click]\u200b(https:\u200b//evil.example)"],
    ["WWW.evil.example", "W\u200bWW.evil.example"],
    ["# big", "#\u200b big"],
    ["a & b", "a &amp; b"],
    ["1 < 2, usually 0.5 %", "1 &lt; 2, usually 0.5 %"],
    ["a\nb\u202ec", "a b c"],
  ])("%j is shown as it is", (hostile, expected) => expect(literal(hostile, 500)).toBe(expected));

  test("no name brings a mention, a link or markup into a message", () => {
    const parts = fc.constantFrom(
      "<",
      ">",
      "!channel",
      "@here",
      "@",
      "http://",
      "www.",
      "*b*",
      "_i_",
      "`c`",
      "](",
      "\n",
      "&",
      "|",
      "a",
    );
    const hostile = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(parts).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        const incident = {
          summary: text,
          reason: text,
          acknowledgedBy: text,
          subject: { deployment: text, nodeId: text },
          series: [{ metric: text, unit: text, points }],
          causes: [{ kind: "node", name: text, reason: text }],
          actions: [{ what: text }],
        };
        const { text: top, attachments } = message(noticeOf(incident));
        const [one] = attachments;
        const shown = [
          top,
          one.title,
          one.text,
          one.fallback,
          ...one.fields.map(({ value }: { value: string }) => value),
        ];
        for (const line of shown) {
          expect(line).not.toMatch(/[<>]/);
          expect(line).not.toMatch(/&(?!amp;|lt;|gt;)/);
          expect(line).not.toMatch(/@[^\u200b]|:\/\/|www\.|\]\(/i);
          expect(line).not.toMatch(/(?<!\u200b)[*_~`]/);
        }
      }),
    );
  });
});

describe("Alertmanager", () => {
  const alert = (notice = noticeOf()) => JSON.parse(alertmanagerMessage({}, notice).body)[0];

  test("an open incident is an alert that ends unless it is told again", () => {
    expect(alert()).toEqual({
      labels: {
        alertname: "KedgeAnomaly",
        severity: "critical",
        kind: "anomaly",
        deployment: "vad",
        revision: "4",
        node: "edge-1",
        incident: "01ke1vj5z8zzzzzzzzzzzzzzzz",
      },
      annotations: {
        summary: "Errors of vad are far above what is usual",
        description: "8 % of 1,200 requests failed in 20 s; usually 1 %",
        causes: "revision 4: the errors began with it",
        actions: "brought revision 3 back",
        series: "error rate ▁▁▂█ 8 %, usually 1 %",
        graph: "https://k.example/i.png?s=1",
      },
      startsAt: "2026-01-02T03:04:05.000Z",
      endsAt: "2026-01-02T03:09:35.000Z",
      generatorURL: "https://k.example/i.svg?s=1",
    });
  });

  test("one that is over ends when it was over, never in the future, never before it began", () => {
    const over = (ms: number) => noticeOf({ state: IncidentState.RESOLVED, resolvedAt: timestampFromMs(ms) });
    expect(alert(over(OPENED_MS + 60_000)).endsAt).toBe("2026-01-02T03:05:05.000Z");
    expect(alert(over(NOW_MS + 60_000)).endsAt).toBe("2026-01-02T03:05:35.000Z");
    expect(alert(over(OPENED_MS - 60_000)).endsAt).toBe("2026-01-02T03:04:05.000Z");
  });
});
