import { expect, test } from "vitest";
import type { NodeLevel, NodeTrial, WorkloadFacts } from "./health-types.ts";
import { judgeFleet } from "./judge-fleet.ts";
import { obstacleToQuarantine } from "./quarantine-room.ts";

const NODES = 20;
const WINDOW_MINUTES = 15;
const MAX_PERCENT = 10;

/** Chance that something fails on a node in a minute. */
type Hazard = (minute: number, node: number, workload: number) => number;

/** 24 revisions with 4 replicas each and 12 jobs, one task a minute, on nodes by turns; judged once a minute. */
function simulate(minutes: number, hazard: Hazard, seed = 1) {
  const random = generator(seed);
  const window: {
    readonly minute: number;
    readonly workload: number;
    readonly node: number;
    readonly failed: boolean;
  }[] = [];
  const quarantined = new Set<string>();
  const sickSince = new Map<string, number>();
  let before = new Map<string, NodeLevel>();
  let most = 0;
  for (let minute = 0; minute < minutes; minute++) {
    for (let workload = 0; workload < 36; workload++) {
      const places = workload < 24 ? [0, 1, 2, 3].map((i) => (workload * 7 + i * 3) % NODES) : [pick(random)];
      for (const node of places) {
        window.push({ minute, workload, node, failed: random() < hazard(minute, node, workload) });
      }
    }
    while ((window[0]?.minute ?? minute) < minute - WINDOW_MINUTES) window.shift();
    const nodes = new Map(names().map((name) => [name, { returns: 0 }]));
    const judged = judgeFleet({ nodes, workloads: factsOf(window), span: "15 min", before });
    before = new Map([...judged].map(([name, { level }]) => [name, level]));
    for (const [name, { level }] of judged) {
      if (level !== "sick") continue;
      if (!sickSince.has(name)) sickSince.set(name, minute);
      const fleet = names().map((nodeId) => {
        const isQuarantined = quarantined.has(nodeId);
        return { nodeId, capacity: { cpu_milli: 4_000 }, isInService: !isQuarantined, isQuarantined };
      });
      const room = { nodes: fleet, needed: { cpu_milli: 40_000 }, maxPercent: MAX_PERCENT };
      if (obstacleToQuarantine(name, room) === undefined) quarantined.add(name);
    }
    most = Math.max(most, quarantined.size);
  }
  return { sickSince, quarantined, most };
}

function factsOf(window: readonly { workload: number; node: number; failed: boolean }[]): WorkloadFacts[] {
  return [...Map.groupBy(window, ({ workload }) => workload)].map(([workload, entries]) => {
    const byNode = new Map<string, NodeTrial>();
    for (const { node, failed } of entries) {
      const { exposure, failures } = byNode.get(`n${node}`) ?? { exposure: 0, failures: 0 };
      byNode.set(`n${node}`, { exposure: exposure + 1, failures: failures + Number(failed) });
    }
    return { workload: `w${workload}`, kind: workload < 24 ? "replicas" : "tasks", byNode };
  });
}

const names = (): string[] => Array.from({ length: NODES }, (_, i) => `n${i}`);
const pick = (random: () => number): number => Math.floor(random() * NODES);

/** Mulberry32 (public domain). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const NOISE = 0.01;

test("a sick node among healthy ones is found within minutes, and no other is", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const onset = 30;
    const { sickSince, quarantined } = simulate(60, (m, node) => (m >= onset && node === 7 ? 0.6 : NOISE), seed);
    expect([...quarantined]).toEqual(["n7"]);
    expect((sickSince.get("n7") ?? 0) - onset).toBeLessThanOrEqual(8);
  }
});

test("among healthy nodes with a background of failures none is called sick in a day", () => {
  for (const noise of [0.002, 0.02, 0.2]) {
    expect([...simulate(1_440, () => noise, 11).sickSince.keys()], `noise ${noise}`).toEqual([]);
  }
});

test("a bad revision fails wherever it runs: no node is set aside", () => {
  for (const seed of [1, 2, 3]) {
    const { quarantined } = simulate(90, (m, _, workload) => (m >= 30 && workload % 6 === 0 ? 0.9 : NOISE), seed);
    expect([...quarantined]).toEqual([]);
  }
});

test("an outage of everything sets no node aside; one of several nodes at most the share that may be", () => {
  expect(simulate(90, (m) => (m >= 30 && m < 60 ? 0.95 : NOISE)).most).toBe(0);
  const zone = [1, 6, 12, 17];
  const some = simulate(90, (m, node) => (m >= 30 && m < 60 && zone.includes(node) ? 0.95 : NOISE));
  expect([...some.sickSince.keys()].toSorted()).toEqual(["n1", "n12", "n17", "n6"]);
  expect(some.most).toBe(2);
});
