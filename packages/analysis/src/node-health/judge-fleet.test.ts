import fc from "fast-check";
import { expect, test } from "vitest";
import type { FleetFacts, NodeLevel, NodeTrial, WorkloadFacts } from "./health-types.ts";
import { judgeFleet } from "./judge-fleet.ts";
import { logShareEvidence, logTrialEvidence } from "./share-evidence.ts";

const span = "15 min";

/** `trials` are "failures/exposure" by node, in the order n1, n2, ... */
function workload(name: string, kind: WorkloadFacts["kind"], trials: string): WorkloadFacts {
  const entries = trials.split(" ").map((text, i): [string, NodeTrial] => {
    const [failures = 0, exposure = 0] = text.split("/").map(Number);
    return [`n${i + 1}`, { failures, exposure }];
  });
  return { workload: name, kind, byNode: new Map(entries) };
}

function judge(nodes: number, workloads: WorkloadFacts[], more: Partial<FleetFacts> = {}) {
  const own = new Map(Array.from({ length: nodes }, (_, i) => [`n${i + 1}`, { returns: 0 }]));
  return judgeFleet({ nodes: own, workloads, span, ...more });
}

const levels = (judged: ReturnType<typeof judge>): NodeLevel[] => [...judged.values()].map(({ level }) => level);

test("a node on which several things fail that are well elsewhere is sick, and says what fails", () => {
  const judged = judge(4, [
    workload("train/fit", "tasks", "5/5 0/5 0/5 0/5"),
    workload("vad revision 3", "replicas", "6/10 0/10 0/10 0/10"),
  ]);
  expect(levels(judged)).toEqual(["sick", "healthy", "healthy", "healthy"]);
  const texts = judged.get("n1")?.reasons.map(({ text }) => text);
  expect(texts).toContain("tasks of train/fit failed: 5 of 5 here, 0 of 15 elsewhere");
  expect(texts).toContain(
    "replicas of vad revision 3 failed: 6 times in 10.0 replica-minutes here, 0 times in 30.0 replica-minutes elsewhere",
  );
  expect(judged.get("n1")?.reasons[0]?.clears).toBe("nothing more of it fails here within 15 min");
});

test("one thing that fails on one node only makes it suspect, however often it fails, and had better go elsewhere", () => {
  const judged = judge(4, [
    workload("vad revision 3", "replicas", "60/10 0/10 0/10 0/10"),
    workload("vad revision 3", "requests", "900/1000 0/1000 0/1000 0/1000"),
    workload("ocr revision 1", "replicas", "0/10 0/10 0/10 0/10"),
  ]);
  expect(levels(judged)).toEqual(["suspect", "healthy", "healthy", "healthy"]);
  expect(judged.get("n1")?.misfits.map(({ workload }) => workload)).toEqual(["vad revision 3", "vad revision 3"]);
});

test("a bad revision fails everywhere: no node is to blame", () => {
  const bad = ["a", "b", "c"].map((name) => workload(`${name} revision 2`, "replicas", "20/10 22/10 19/10 21/10"));
  expect(levels(judge(4, bad))).toEqual(["healthy", "healthy", "healthy", "healthy"]);
});

test("an outage in common makes nobody sick", () => {
  const all = ["a/x", "b/y", "c/z"].map((name) => workload(name, "tasks", "8/8 6/6 7/7 3/3 9/9"));
  expect(new Set(levels(judge(5, all)))).toEqual(new Set(["healthy"]));
});

test("what runs on one node alone says nothing of it, except by breadth against other nodes", () => {
  const alone = (name: string, trials: string) => workload(name, "replicas", trials);
  expect(levels(judge(1, [alone("a", "60/10"), alone("b", "60/10"), alone("c", "60/10")]))).toEqual(["healthy"]);
  const others = Array.from({ length: 24 }, (_, i) => alone(`w${i}`, `0/0 ${i % 2 ? "0/10" : "0/0 0/10"}`));
  const broken = Array.from({ length: 8 }, (_, i) => alone(`b${i}`, "9/10"));
  const judged = judge(3, [...broken, ...others]);
  expect(levels(judged)).toEqual(["sick", "healthy", "healthy"]);
  expect(judged.get("n1")?.reasons[0]?.text).toBe(
    "8 of 8 different jobs and revisions failed here, far fewer elsewhere",
  );
});

test("jobs are not held against a node because replicas elsewhere are well", () => {
  const jobs = ["a", "b", "c", "d", "e"].map((name) => workload(`p/${name}`, "tasks", "4/4"));
  const replicas = Array.from({ length: 12 }, (_, i) => workload(`w${i}`, "replicas", "0/0 0/10 0/10"));
  expect(levels(judge(3, [...jobs, ...replicas]))).toEqual(["healthy", "healthy", "healthy"]);
});

test("two failures prove nothing", () => {
  const few = ["a", "b"].map((name) => workload(name, "tasks", "2/2 0/400 0/400"));
  expect(judge(3, few).get("n1")).toEqual({ level: "healthy", reasons: [], misfits: [] });
});

test("a rate a little higher than elsewhere is no reason, however sure it is", () => {
  const busy = ["a", "b"].map((name) => workload(name, "requests", "30000/1000000 20000/1000000 20000/1000000"));
  expect(levels(judge(3, busy))).toEqual(["healthy", "healthy", "healthy"]);
});

test("it takes less to stay at a level than to get there", () => {
  const weak = ["a", "b"].map((name) => workload(name, "tasks", "3/4 0/3 0/3"));
  expect(levels(judge(3, weak))[0]).toBe("suspect");
  expect(levels(judge(3, weak, { before: new Map([["n1", "sick"]]) }))[0]).toBe("sick");
});

test.each([
  [{ freeDiskMib: 100, returns: 0 }, "healthy", "sick"],
  [{ freeDiskMib: 300, returns: 0 }, "healthy", "suspect"],
  [{ freeDiskMib: 300, returns: 0 }, "sick", "sick"],
  [{ freeDiskMib: 600, returns: 0 }, "sick", "suspect"],
  [{ freeDiskMib: 2000, returns: 0 }, "sick", "healthy"],
  [{ returns: 0 }, "healthy", "healthy"],
  [{ returns: 2 }, "healthy", "suspect"],
  [{ returns: 3 }, "healthy", "sick"],
  [{ returns: 2 }, "sick", "sick"],
  [{ returns: 1 }, "sick", "healthy"],
] as const)("a node's own facts need no comparison: %j after %s is %s", (own, before, level) => {
  const nodes = new Map([["n1", own]]);
  const judged = judgeFleet({ nodes, workloads: [], span, before: new Map([["n1", before]]) });
  expect(judged.get("n1")?.level).toBe(level);
});

test("e-values of nodes that are like the others have a mean of at most 1, whatever their share", () => {
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.integer({ min: 1, max: 40 }), (share, all) => {
      let mean = 0;
      let chance = (1 - share) ** all;
      for (let here = 0; here <= all; here++) {
        mean += chance * Math.exp(logShareEvidence({ share, here, all }));
        chance *= ((all - here) / (here + 1)) * (share / (1 - share));
      }
      expect(mean).toBeLessThan(1 + 1e-9);
    }),
  );
});

test("the same of trials, exactly", () => {
  const trials = fc.integer({ min: 1, max: 30 });
  fc.assert(
    fc.property(trials, trials, fc.nat(60), (canaryTrials, baselineTrials, some) => {
      const all = Math.min(some, canaryTrials + baselineTrials);
      const lowest = Math.max(0, all - baselineTrials);
      let [mean, total, ways] = [0, 0, 1];
      for (let here = lowest; here <= Math.min(all, canaryTrials); here++) {
        const stratum = { canaryTrials, baselineTrials, canaryHits: here, baselineHits: all - here };
        mean += ways * Math.exp(logTrialEvidence(stratum));
        total += ways;
        ways *= ((canaryTrials - here) * (all - here)) / ((here + 1) * (baselineTrials - all + here + 1));
      }
      expect(mean / total).toBeLessThan(1 + 1e-6);
    }),
  );
});

test("more failures here, or fewer elsewhere, never speak for a node", () => {
  const share = fc.double({ min: 0.01, max: 0.9, noNaN: true });
  fc.assert(
    fc.property(share, fc.nat(50), fc.nat(50), (share, here, elsewhere) => {
      const evidence = logShareEvidence({ share, here, all: here + elsewhere });
      expect(logShareEvidence({ share, here: here + 1, all: here + 1 + elsewhere })).toBeGreaterThanOrEqual(evidence);
      expect(logShareEvidence({ share, here, all: here + elsewhere + 1 })).toBeLessThanOrEqual(evidence);
    }),
  );
});
