import fc from "fast-check";
import { expect, test } from "vitest";
import { nodeOf, sceneOf } from "./testing/scene.ts";
import { type SimulatedJob, simulate } from "./testing/simulation.ts";

const MINUTE = 60_000;
const LIMIT = 10 * MINUTE;
const twoNodes = () => [nodeOf("n", { cpuMilli: 4 }), nodeOf("m", { cpuMilli: 4 })];

/** What fills both nodes at first. */
const full: readonly SimulatedJob[] = Array.from({ length: 8 }, (_, i) => {
  return { name: `full/${i}`, limitMs: LIMIT, runsMs: (2 + i) * MINUTE };
});

/** A stream of small jobs, more than there is room for, of random length. */
const stream = fc
  .infiniteStream(fc.record({ runs: fc.integer({ min: 1, max: 10 }), cpu: fc.constantFrom(1, 1, 2) }))
  .map((lengths) => {
    let made = 0;
    return (nowMs: number, count: number): SimulatedJob[] =>
      Array.from({ length: count }, () => {
        const { runs, cpu } = lengths.next().value;
        return { name: `s/${nowMs}-${made++}`, cpu, limitMs: LIMIT, runsMs: runs * MINUTE };
      });
  });

test("a job that needs a whole node starts in a stream of small ones, at the latest when what ran has met its limit", () => {
  fc.assert(
    fc.property(stream, (small) => {
      const scene = sceneOf(twoNodes());
      const big = { name: "big/big", cpu: 4, limitMs: LIMIT, runsMs: LIMIT };
      const arrivals = (nowMs: number): SimulatedJob[] => [
        ...(nowMs === 0 ? full : small(nowMs, 2)),
        ...(nowMs === MINUTE ? [big] : []),
      ];
      const started = simulate({ scene, arrivals, stepMs: MINUTE, untilMs: 20 * MINUTE });
      // Ready after one minute, held back no longer than one more; then what ran has ten.
      expect(started.get("big/big")).toBeLessThanOrEqual(12 * MINUTE);
    }),
    { numRuns: 50 },
  );
});

test("a gang that needs all nodes starts in a stream of small ones", () => {
  fc.assert(
    fc.property(stream, (small) => {
      const scene = sceneOf(twoNodes());
      const gang = { id: "g/g", members: ["g/a", "g/b"] };
      const members = gang.members.map((name) => ({ name, cpu: 3, limitMs: LIMIT, runsMs: LIMIT, gang }));
      const arrivals = (nowMs: number): SimulatedJob[] => [
        ...(nowMs === 0 ? full : small(nowMs, 2)),
        ...(nowMs === MINUTE ? members : []),
      ];
      const started = simulate({ scene, arrivals, stepMs: MINUTE, untilMs: 20 * MINUTE });
      expect(started.get("g/a")).toBeLessThanOrEqual(12 * MINUTE);
      expect(started.get("g/b")).toBe(started.get("g/a"));
    }),
    { numRuns: 50 },
  );
});

test("two teams that always have work come to use what their shares say, whatever the sizes of their jobs", () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.integer({ min: 1, max: 10 })), fc.constantFrom(1, 2), (lengths, cpu) => {
      const teams = { a: { share: 1 }, b: { share: 3 } };
      const scene = sceneOf(twoNodes(), { teams, usageHalfLifeSeconds: 2 * 3600 });
      let made = 0;
      const one = (team: string, size: number): SimulatedJob => {
        const runsMs = lengths.next().value * MINUTE;
        return { name: `${team}/${made++}`, team, cpu: size, limitMs: LIMIT, runsMs };
      };
      const waits = (team: string): number =>
        scene.admission.teamUsage(0).find((usage) => usage.team === team)?.waitingJobs ?? 0;
      const refill = (team: string, size: number): SimulatedJob[] =>
        Array.from({ length: Math.max(0, 8 - waits(team)) }, () => one(team, size));
      const arrivals = (): SimulatedJob[] => [...refill("a", cpu), ...refill("b", 1)];
      const untilMs = 600 * MINUTE;
      simulate({ scene, arrivals, stepMs: MINUTE, untilMs });
      const [a, b] = scene.admission.teamUsage(untilMs);
      expect(a?.usedShare).toBeGreaterThan(0.23);
      expect(a?.usedShare).toBeLessThan(0.27);
      expect(b?.usedShare).toBeCloseTo(1 - (a?.usedShare ?? 0), 9);
    }),
    { numRuns: 6 },
  );
});
