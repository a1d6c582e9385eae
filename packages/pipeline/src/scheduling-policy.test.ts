import { create } from "@bufbuild/protobuf";
import { SchedulingPolicySchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatSchedulingPolicy } from "./scheduling-policy-format.ts";
import { parseSchedulingPolicy } from "./scheduling-policy-parse.ts";
import { show } from "./testing/diagnostics.ts";

const SOURCE = `
teams:
  vision: { share: 3, quota: { cpu: 64, memory: 256Gi, disk: 1Ti, gpus: 4.5, jobs: 50 } }
  speech: { share: 0.5 }
  guests:
usage-half-life: 36h
reserve-after: 90s
max-reservations: 4
preemption: false
concurrency: { deploy-prod: 1, staging: 3 }
quarantine: { automatic: false, max-percent: 25, first: 5m, end-tasks: true }
`;

describe("parseSchedulingPolicy", () => {
  it("reads a policy", () => {
    const { policy, diagnostics } = parseSchedulingPolicy(SOURCE);
    expect(diagnostics).toEqual([]);
    expect(policy).toEqual(
      create(SchedulingPolicySchema, {
        teams: {
          vision: {
            share: 3,
            quota: { cpuMilli: 64_000n, memoryMib: 262_144n, diskMib: 1_048_576n, gpuMilli: 4500n, jobs: 50 },
          },
          speech: { share: 0.5 },
          guests: {},
        },
        usageHalfLifeSeconds: 129_600,
        reserveAfterSeconds: 90,
        maxReservations: 4,
        noPreemption: true,
        concurrencyLimits: { "deploy-prod": 1, staging: 3 },
        quarantine: { manualOnly: true, maxPercent: 25, firstSeconds: 300, endTasks: true },
      }),
    );
  });

  it("takes an empty mapping for a policy of defaults", () => {
    expect(parseSchedulingPolicy("{}")).toEqual({ policy: create(SchedulingPolicySchema), diagnostics: [] });
  });

  it.each<[string, string[]]>([
    ["", ["1:1 : must be a mapping, but is empty (write a value or remove the key)"]],
    ["tems: {}", ['1:1 tems: unknown key "tems" (did you mean "teams"?)']],
    [
      "teams:\n  Vision: {}\n  a: { share: 0 }",
      [
        '2:3 teams.Vision: must be a team name (lower-case letters, digits and inner dashes), not "Vision"',
        "3:15 teams.a.share: must be more than 0, not 0",
      ],
    ],
    [
      "teams: { a: { quota: { gpu: 4, memory: 256GB, cpu: 2m5, jobs: 0 } } }",
      [
        '1:24 teams.a.quota.gpu: unknown key "gpu" (did you mean "cpu" or "gpus"?)',
        '1:40 teams.a.quota.memory: must be an amount with the unit Mi, Gi or Ti, e.g. 512Mi or 1.5Gi, not "256GB"',
        '1:52 teams.a.quota.cpu: must be CPU cores or thousandths of one, e.g. 2, 0.5 or 500m, not "2m5"',
        "1:63 teams.a.quota.jobs: must be at least 1, not 0",
      ],
    ],
    [
      "teams: { a: { quota: { gpus: 0.0005 } } }",
      ["1:30 teams.a.quota.gpus: must have at most three decimals, not 0.0005"],
    ],
    ["usage-half-life: 24", ["1:18 usage-half-life: must be text, not 24 (write a unit or put it in quotes)"]],
    ["reserve-after: 0s", ["1:16 reserve-after: must be at least 1s (leave it out for the default)"]],
    ["quarantine: { max-percent: 0 }", ["1:28 quarantine.max-percent: must be at least 1, not 0"]],
    ["max-reservations: 1001", ["1:19 max-reservations: must be at most 1000, not 1001"]],
    ["preemption: on", ['1:13 preemption: must be true or false, not "on"']],
    ["concurrency: { deploy: 0 }", ["1:24 concurrency.deploy: must be at least 1, not 0"]],
    ["concurrency: { a: 1, a: 2 }", ['1:22 concurrency.a: the key "a" is there twice (keep one of them)']],
    [
      `reserve-after: "$${"{{ parameters.x }}"}"`,
      [
        `1:16 reserve-after: a policy file has no expressions: "$${"{{ parameters.x }}"}" (expressions belong into pipelines; for a literal $${"{{"} write $$${"{{"})`,
      ],
    ],
  ])("%j", (source, expected) => {
    const { policy, diagnostics } = parseSchedulingPolicy(source, "teams.yaml");
    expect(show(diagnostics)).toEqual(expected);
    expect(policy).toBeUndefined();
    expect(diagnostics.map((it) => it.file)).toEqual(diagnostics.map(() => "teams.yaml"));
  });

  it("refuses more than 1,000 teams", () => {
    const teams = Array.from({ length: 1001 }, (_, i) => `  t${i}: {}`);
    expect(show(parseSchedulingPolicy(["teams:", ...teams].join("\n")).diagnostics)).toEqual([
      "2:3 teams: at most 1000 teams",
    ]);
  });
});

const policyName = fc.oneof(
  fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/),
  fc.constantFrom("default", "007", "1e3", "0x1f", "null", "true", "constructor"),
);
const amount = (max: number) => fc.oneof(fc.constant(0), fc.integer({ min: 0, max }));
const big = (max: number) => amount(max).map(BigInt);
const quota = fc.record({
  cpuMilli: big(1_000_000_000),
  memoryMib: big(2 ** 30),
  diskMib: big(2 ** 30),
  gpuMilli: big(1_000_000_000),
  jobs: amount(1_000_000),
});
const team = fc.record(
  {
    share: fc.oneof(fc.constant(0), fc.double({ min: 1e-9, max: 1_000_000, noNaN: true })),
    quota,
  },
  { requiredKeys: ["share"] },
);
const quarantine = fc.option(
  fc.record({
    manualOnly: fc.boolean(),
    maxPercent: amount(100),
    firstSeconds: amount(86_400),
    endTasks: fc.boolean(),
  }),
);
const anyPolicy = fc
  .record({
    teams: fc.dictionary(policyName, team, { maxKeys: 5, noNullPrototype: true }),
    usageHalfLifeSeconds: amount(30 * 86_400),
    reserveAfterSeconds: amount(30 * 86_400),
    maxReservations: amount(1000),
    noPreemption: fc.boolean(),
    concurrencyLimits: fc.dictionary(policyName, fc.integer({ min: 1, max: 100_000 }), {
      maxKeys: 5,
      noNullPrototype: true,
    }),
  })
  .chain((init) => quarantine.map((fields) => ({ ...init, ...(fields === null ? {} : { quarantine: fields }) })))
  .map((init) => create(SchedulingPolicySchema, init));

describe("formatSchedulingPolicy", () => {
  it("writes what is read back to the same policy", () => {
    fc.assert(
      fc.property(anyPolicy, (policy) => {
        expect(parseSchedulingPolicy(formatSchedulingPolicy(policy))).toEqual({ policy, diagnostics: [] });
      }),
    );
  });

  it("writes units that people read", () => {
    const { policy } = parseSchedulingPolicy(SOURCE);
    expect(policy && formatSchedulingPolicy(policy)).toBe(`teams:
  guests: {}
  speech:
    share: 0.5
  vision:
    share: 3
    quota:
      cpu: 64
      memory: 256Gi
      disk: 1Ti
      gpus: 4.5
      jobs: 50
usage-half-life: 1d12h
reserve-after: 1m30s
max-reservations: 4
preemption: false
concurrency:
  deploy-prod: 1
  staging: 3
quarantine:
  automatic: false
  max-percent: 25
  first: 5m
  end-tasks: true
`);
  });
});
