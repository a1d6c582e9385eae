import { create } from "@bufbuild/protobuf";
import { AlertPolicySchema, IncidentKind, IncidentSeverity } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatAlertPolicy } from "./alert-policy-format.ts";
import { parseAlertPolicy } from "./alert-policy-parse.ts";
import { INCIDENT_KINDS, INCIDENT_SEVERITIES } from "./alert-policy-schema.ts";
import { show } from "./testing/diagnostics.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SOURCE = `external-url: https://kedge.example.org
receivers:
  on-call:
    slack:
      url: https://hooks.slack.com/services/T0/B0/x
  audit:
    webhook:
      url: https://audit.example.org/in
      signing-secret: ${SECRET}
      headers:
        Authorization: Bearer x
    max-per-minute: 30
  prometheus:
    alertmanager:
      urls:
        - http://10.0.0.1:9093
        - http://10.0.0.2:9093
    allow-private: true
routes:
  - match:
      kinds:
        - burn-rate
        - replica
      severity: critical
      deployments:
        - vad-*
      nodes:
        - edge-1
    receivers:
      - on-call
      - audit
    repeat: 30m
    min-interval: 5m
    wait: 10s
    continue: true
  - receivers:
      - prometheus
`;

describe("parseAlertPolicy", () => {
  it("reads a policy, and writes the same file", () => {
    const { policy, diagnostics } = parseAlertPolicy(SOURCE);
    expect(diagnostics).toEqual([]);
    const url = "https://audit.example.org/in";
    const webhook = { url, signingSecret: SECRET, headers: { Authorization: "Bearer x" } };
    const wanted = create(AlertPolicySchema, {
      externalUrl: "https://kedge.example.org",
      receivers: [
        { name: "on-call", kind: { case: "slack", value: { url: "https://hooks.slack.com/services/T0/B0/x" } } },
        { name: "audit", kind: { case: "webhook", value: webhook }, maxPerMinute: 30 },
        {
          name: "prometheus",
          kind: { case: "alertmanager", value: { urls: ["http://10.0.0.1:9093", "http://10.0.0.2:9093"] } },
          allowPrivate: true,
        },
      ],
      routes: [
        {
          match: {
            kinds: [IncidentKind.BURN_RATE, IncidentKind.REPLICA],
            minSeverity: IncidentSeverity.CRITICAL,
            deployments: ["vad-*"],
            nodes: ["edge-1"],
          },
          receivers: ["on-call", "audit"],
          repeatSeconds: 1800,
          minIntervalSeconds: 300,
          waitSeconds: 10,
          continue: true,
        },
        { receivers: ["prometheus"] },
      ],
    });
    expect(policy).toEqual(wanted);
    expect(formatAlertPolicy(wanted)).toBe(SOURCE);
  });

  it("names kinds and severities as the messages number them", () => {
    const upper = (word: string): string => word.toUpperCase().replaceAll("-", "_");
    expect(INCIDENT_KINDS.map((kind, i) => IncidentKind[i + 1] === upper(kind))).not.toContain(false);
    expect(INCIDENT_SEVERITIES.map((word, i) => IncidentSeverity[i + 1] === upper(word))).not.toContain(false);
  });

  it.each<[string, string[]]>([
    ["reciever: {}", ['1:1 reciever: unknown key "reciever" (known are receivers, routes, external-url)']],
    ["receivers: { a: {} }", ["1:17 receivers.a: one of webhook, slack, alertmanager is required"]],
    [
      "receivers:\n  a: { slack: { url: hooks.slack.com } }",
      ["2:22 receivers.a.slack.url: must be an http or https address without user, password and fragment"],
    ],
    [
      "receivers:\n  a: { webhook: { url: 'https://a/', signing-secret: hunter2 } }",
      ['2:54 receivers.a.webhook.signing-secret: must be "whsec_" and the base64 of 24 to 64 bytes'],
    ],
    [
      "receivers:\n  a: { slack: { url: 'https://a/' }, webhook: { url: 'https://a/' } }",
      ["2:8 receivers.a.slack: only one of webhook and slack can be given"],
    ],
    [
      "receivers: { a: { slack: { url: 'https://a/' } } }\nroutes:\n  - receivers: [b]",
      ['3:17 routes[0].receivers[0]: no receiver is called "b" (there are: a)'],
    ],
  ])("%j", (source, expected) => {
    const { policy, diagnostics } = parseAlertPolicy(source);
    expect(show(diagnostics)).toEqual(expected);
    expect(policy).toBeUndefined();
  });
});

const receiverName = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/);
const url = fc.constantFrom("https://a.example/b?c=d", "http://10.1.2.3:9093", "https://hooks.slack.com/<redacted>");
const headers = fc.dictionary(
  fc.constantFrom("Authorization", "X-Team", "constructor"),
  fc.constantFrom("yes", "0x1"),
  {
    noNullPrototype: true,
  },
);
const kind = fc.oneof(
  fc.record({ case: fc.constant("slack" as const), value: fc.record({ url }) }),
  fc.record({
    case: fc.constant("webhook" as const),
    value: fc.record({ url, headers, signingSecret: fc.constantFrom("", SECRET, "<redacted>") }),
  }),
  fc.record({
    case: fc.constant("alertmanager" as const),
    value: fc.record({ urls: fc.array(fc.constant("http://a:9093"), { minLength: 1, maxLength: 8 }), headers }),
  }),
);
const receiver = fc.record({ name: receiverName, kind, allowPrivate: fc.boolean(), maxPerMinute: fc.nat(6_000) });
const patterns = fc.array(fc.constantFrom("*", "vad-*", "007", "true"), { maxLength: 3 });
const match = fc.record({
  kinds: fc.uniqueArray(fc.integer({ min: 1, max: 5 })),
  minSeverity: fc.nat(3),
  deployments: patterns,
  nodes: patterns,
});
const seconds = fc.nat(86_400);
const anyPolicy = fc
  .uniqueArray(receiver, { selector: ({ name }) => name, minLength: 1, maxLength: 5 })
  .chain((receivers) => {
    const names = fc.subarray(
      receivers.map(({ name }) => name),
      { minLength: 1 },
    );
    const route = fc.record(
      {
        match,
        receivers: names,
        repeatSeconds: seconds,
        minIntervalSeconds: seconds,
        waitSeconds: seconds,
        continue: fc.boolean(),
      },
      { requiredKeys: ["receivers"] },
    );
    return fc.array(route, { maxLength: 4 }).map((routes) => create(AlertPolicySchema, { receivers, routes }));
  });

describe("formatAlertPolicy", () => {
  it("writes what is read back to the same policy", () => {
    fc.assert(
      fc.property(anyPolicy, (policy) => {
        const read = parseAlertPolicy(formatAlertPolicy(policy));
        expect(read.diagnostics).toEqual([]);
        // A mapping does not keep the order of keys that look like numbers.
        const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
        const sorted = (one: typeof read.policy) => ({ ...one, receivers: one?.receivers.toSorted(byName) });
        expect(sorted(read.policy)).toEqual(sorted(policy));
      }),
    );
  });
});
