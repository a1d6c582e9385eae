import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AnalysisSpecSchema,
  DeploymentSpecSchema,
  MatchKind,
  RequestKeySchema,
  RequestMatchSchema,
  RequestSource,
  type StrategySchema,
} from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { isFieldName, requestKeyProblem, requestMatchProblems } from "./request-keys.ts";
import { assertNoProblems, fieldOf } from "./spec-problem.ts";
import { strategyProblems } from "./strategy-problems.ts";

const { HEADER, COOKIE } = RequestSource;
const uid = { source: COOKIE, name: "uid" };

type StrategyInit = MessageInitShape<typeof StrategySchema>;

function problemsOf(
  strategy: StrategyInit,
  analysis: MessageInitShape<typeof AnalysisSpecSchema> = {},
  isPerNode = false,
): string[] {
  const scale = { case: isPerNode ? ("replicasPerNode" as const) : ("replicas" as const), value: 1 };
  const spec = create(DeploymentSpecSchema, { strategy, analysis, scale });
  return strategyProblems(spec).map(({ path, message }) => `${fieldOf(path)}: ${message}`);
}

const canary = (value: Extract<StrategyInit["kind"], { case: "canary" }>["value"]) =>
  ({ kind: { case: "canary", value } }) as const;

test.each<[StrategyInit, string[]]>([
  [canary({ steps: [{ weightPercent: 5 }, { weightPercent: 50, manual: true }] }), []],
  [{ kind: { case: "abTest", value: { by: { case: "hash", value: uid }, weightPercent: 30 } } }, []],
  [canary({ steps: [{ weightPercent: 0 }] }), ["strategy.canary.steps[0].weight_percent: must be 1 to 100, not 0"]],
  [canary({ steps: [{ weightPercent: 101 }] }), ["strategy.canary.steps[0].weight_percent: must be 1 to 100, not 101"]],
  [
    canary({ steps: [{ weightPercent: 20 }, { weightPercent: 10 }] }),
    ["strategy.canary.steps[1].weight_percent: weights must ascend: 10 comes after 20"],
  ],
  [
    canary({ waves: [{ name: "eu", nodeSelector: { a: "b" } }, { name: "rest" }] }),
    ["strategy.canary.waves: waves go from node to node, so they need replicas on every node"],
  ],
  [{ kind: { case: "abTest", value: {} } }, ["strategy.ab_test: one of match, hash is required"]],
  [
    { kind: { case: "abTest", value: { by: { case: "hash", value: { source: HEADER, name: "" } } } } },
    ['strategy.ab_test.hash.name: "" is not the name of a header'],
  ],
  [
    { kind: { case: "rolling", value: { maxSurge: { value: { case: "percent", value: 101 } } } } },
    ["strategy.rolling.max_surge.percent: must be at most 100, not 101"],
  ],
  [
    { kind: { case: "shadow", value: { mirrorPercent: 200, maxDifferingBasisPoints: 20_000 } } },
    [
      "strategy.shadow.mirror_percent: must be at most 100, not 200",
      "strategy.shadow.max_differing_basis_points: must be at most 10000, not 20000",
    ],
  ],
  [
    { kind: { case: "blueGreen", value: {} }, sticky: uid },
    ["strategy.sticky: needs a split, and this strategy has none"],
  ],
  [
    { kind: { case: "canary", value: {} }, warmUp: { seconds: 3601, requests: 2_000_000 } },
    [
      "strategy.warm_up.seconds: must be at most 3600, not 3601",
      "strategy.warm_up.requests: must be at most 1000000, not 2000000",
    ],
  ],
])("strategy %#", (strategy, expected) => {
  expect(problemsOf(strategy)).toEqual(expected);
});

test("waves have names of their own, leave nodes for each other, and the last takes the rest", () => {
  const of = (...waves: { name: string; nodeSelector?: Record<string, string> }[]) =>
    problemsOf(canary({ waves }), {}, true).map((line) => line.replace("strategy.canary.waves", ""));
  const eu = { name: "eu", nodeSelector: { zone: "eu" } };
  const gpu = { name: "gpu", nodeSelector: { gpu: "yes" } };
  const rest = { name: "rest" };
  expect(of(eu, gpu, rest)).toEqual([]);
  expect(of({ name: "paris", nodeSelector: { zone: "eu", site: "paris" } }, eu, rest)).toEqual([]);
  const swallowed = { name: "paris", nodeSelector: { site: "paris", zone: "eu" } };
  expect(of(eu, swallowed, rest)).toEqual([
    '[1].node_selector: no node is left for it: all that have its labels are in wave "eu"',
  ]);
  expect(of(eu, { ...eu, name: "again" }, rest)).toHaveLength(1);
  expect(of(eu, { ...gpu, name: "eu" }, rest)).toEqual(['[1].name: there is a wave "eu" already']);
  expect(of(rest, eu)).toEqual([
    "[0].node_selector: takes all nodes that are left, so it must be the last",
    "[1].node_selector: the last wave must be the nodes that are left",
  ]);
  expect(of({ ...eu, name: "E U" }, rest)).toEqual(['[0].name: "E U" is no name']);
});

test("a pass is asked for only where somebody can give it", () => {
  const passRequired = create(AnalysisSpecSchema, { passRequired: true });
  const steps = [{ weightPercent: 10, unjudged: true }];
  expect(problemsOf(canary({ steps: [{ weightPercent: 10 }] }), passRequired)).toEqual([]);
  expect(problemsOf(canary({ steps }), passRequired)).toEqual([
    "analysis.pass_required: no step before all traffic is judged",
  ]);
  for (const kind of ["blueGreen", "rolling", "allAtOnce"] as const) {
    expect(problemsOf({ kind: { case: kind, value: {} } }, passRequired)[0]).toContain("no step in which the judge");
  }
  expect(problemsOf(canary({ steps: [{ weightPercent: 10 }] }), { passRequired: true, disabled: true })).toEqual([
    "analysis.pass_required: a judge that is disabled passes nothing",
  ]);
});

test.each(["Kedge-Revision", "kedge-anything", "host", "Content-Length", "CONNECTION", "transfer-encoding", "Cookie"])(
  "header %s says nothing of who sends a request",
  (name) => {
    expect(requestKeyProblem(create(RequestKeySchema, { source: HEADER, name }))?.path).toEqual(["name"]);
    expect(requestKeyProblem(create(RequestKeySchema, { source: COOKIE, name }))).toBeUndefined();
  },
);

test("names are tokens, whatever is in them", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 70 }), (name) => {
      const isToken = name.length > 0 && name.length <= 64 && [...name].every((it) => /[\w!#$%&'*+.^`|~-]/.test(it));
      expect(isFieldName(name)).toBe(isToken);
    }),
  );
  for (const name of ["a b", "a\r\nb: c", "a:b", "\u00e9", "a".repeat(65), ""]) expect(isFieldName(name)).toBe(false);
});

test.each([
  [[], "values: must have 1 to 64 values, not 0"],
  [Array.from({ length: 65 }, (_, i) => String(i)), "values: must have 1 to 64 values, not 65"],
  [[""], "values[0]: must be 1 to 128 bytes, not 0"],
  [["\u00e9".repeat(65)], "values[0]: must be 1 to 128 bytes, not 130"],
  [["a\r\nx: y"], "values[0]: must not hold control characters"],
  [["a\u007f"], "values[0]: must not hold control characters"],
  [["a", "b", "a"], "values[2]: is there already"],
  [["a "], "values[0]: would never match: blanks around a value are no part of it"],
])("match values %j", (values, expected) => {
  const match = create(RequestMatchSchema, { key: { source: HEADER, name: "x-group" }, kind: MatchKind.EXACT, values });
  expect(requestMatchProblems(match).map(({ path, message }) => `${fieldOf(path)}: ${message}`)).toEqual([expected]);
});

test("the first problem is what a spec is refused for, with its field and what helps", () => {
  const spec = create(DeploymentSpecSchema, {
    strategy: { kind: { case: "abTest", value: {} }, warmUp: { seconds: 9999 } },
  });
  expect(() => assertNoProblems(strategyProblems(spec))).toThrow(
    expect.objectContaining({
      reason: "INVALID_FIELD",
      message: "strategy.ab_test: one of match, hash is required (and 1 more)",
      field: "strategy.ab_test",
      details: {},
    }),
  );
  expect(() => assertNoProblems([])).not.toThrow();
});
