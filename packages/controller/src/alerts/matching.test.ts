import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AlertPolicySchema, IncidentKind, IncidentSchema, IncidentSeverity } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matchesIncident, matchesPattern, routesOf, silenceOf } from "./matching.ts";

describe("patterns", () => {
  test.each([
    ["vad", "vad", true],
    ["vad", "vad2", false],
    ["vad*", "vad2", true],
    ["*-edge", "vad-edge", true],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["*", "", true],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-c-b", false],
  ])("%s matches %s: %s", (pattern, name, expected) => expect(matchesPattern(pattern, name)).toBe(expected));

  test("are what the same regular expressions are", () => {
    const some = fc.stringMatching(/^[ab*]{0,8}$/);
    fc.assert(
      fc.property(some, fc.stringMatching(/^[ab]{0,12}$/), (pattern, name) => {
        const same = new RegExp(`^${pattern.replaceAll(/\*+/g, ".*")}$`);
        expect(matchesPattern(pattern, name)).toBe(same.test(name));
      }),
    );
  });
});

const incident = create(IncidentSchema, {
  kind: IncidentKind.ROLLOUT,
  severity: IncidentSeverity.WARNING,
  subject: { deployment: "vad" },
});

test("a matcher says what must all be so", () => {
  const matches = (more: object): boolean =>
    matchesIncident(
      { $typeName: "kedge.v1.AlertMatcher", kinds: [], minSeverity: 0, deployments: [], nodes: [], ...more },
      incident,
    );
  expect(matchesIncident(undefined, incident)).toBe(true);
  expect(matches({ kinds: [IncidentKind.ROLLOUT], minSeverity: IncidentSeverity.WARNING, deployments: ["v*"] })).toBe(
    true,
  );
  expect(matches({ kinds: [IncidentKind.NODE] })).toBe(false);
  expect(matches({ minSeverity: IncidentSeverity.CRITICAL })).toBe(false);
  expect(matches({ deployments: ["asr"] })).toBe(false);
  // It is about no node, so no pattern for nodes means it.
  expect(matches({ nodes: ["*"] })).toBe(false);
});

test("the first route that matches counts, and those after it if it says so", () => {
  const policy = create(AlertPolicySchema, {
    routes: [
      { match: { kinds: [IncidentKind.NODE] }, receivers: ["nodes"] },
      { receivers: ["audit", "a"], waitSeconds: 1, continue: true },
      { receivers: ["a", "b"], waitSeconds: 2 },
      { receivers: ["c"] },
    ],
  });
  const waits = [...routesOf(policy, incident)].map(([name, { waitSeconds }]) => [name, waitSeconds]);
  expect(waits).toEqual([
    ["audit", 1],
    ["a", 1],
    ["b", 2],
  ]);
});

test("of several silences the longest counts; ended ones do not", () => {
  const at = (id: string, ms: number) => ({ id, endsAt: timestampFromMs(ms) });
  const policy = create(AlertPolicySchema, {
    silences: [
      at("over", 1_000),
      at("short", 5_000),
      at("long", 9_000),
      { ...at("other", 99_000), match: { nodes: ["n"] } },
    ],
  });
  expect(silenceOf(policy, incident, 2_000)?.id).toBe("long");
  expect(silenceOf(policy, incident, 9_000)).toBeUndefined();
});
