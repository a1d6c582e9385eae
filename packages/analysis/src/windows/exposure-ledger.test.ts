import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ReplicaExposureSchema, type Window, WindowSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { createJudge } from "../judge/judge.ts";
import type { Judge, JudgeVerdict } from "../judge/judge-types.ts";
import { ExposureLedger } from "./exposure-ledger.ts";

interface Seen {
  replicas: number;
  restarts: number;
}

type Exposure = MessageInitShape<typeof ReplicaExposureSchema>;

const ROLLOUT = { fromRevision: 1, toRevision: 2 };
const METRICS = [{ kind: "events", name: "restarts" }] as const;

function told(nodeId: string, [baseline, canary]: readonly [Exposure | undefined, Exposure?]): Window {
  const revisions = [baseline, canary].flatMap((exposure, i) =>
    exposure === undefined ? [] : [{ revision: i + 1, exposure }],
  );
  return create(WindowSchema, { nodeId, revisions });
}

test("an event is set against the replicas that were ready on all nodes just before it", () => {
  const ledger = new ExposureLedger(0);
  expect(ledger.observe(told("a", [{ replicas: 3 }]), ROLLOUT, 250)).toBeUndefined();
  expect(ledger.observe(told("b", [undefined, { replicas: 1 }]), ROLLOUT, 250)).toBeUndefined();
  const shown = ledger.observe(told("b", [undefined, { replicas: 1, restarts: 1, oomKills: 1 }]), ROLLOUT, 500);
  expect(shown?.canary.metrics?.["restarts"]).toEqual({ events: 1, exposure: 0.5 });
  expect(shown?.baseline.metrics?.["restarts"]).toEqual({ events: 0, exposure: 1.5 });
  // Nothing of the canary's is left to be at risk.
  ledger.observe(told("b", [undefined, { replicas: 0 }]), ROLLOUT, 750);
  expect(ledger.observe(told("a", [{ replicas: 3, restarts: 1 }]), ROLLOUT, 1000)).toBeUndefined();
});

test("exposure without events is told now and then; nodes that are gone have no part", () => {
  const ledger = new ExposureLedger(0);
  ledger.observe(told("a", [{ replicas: 2 }, { replicas: 1 }]), ROLLOUT, 1);
  ledger.observe(told("gone", [{ replicas: 50 }, { replicas: 50 }]), ROLLOUT, 2);
  const shown = ledger.observe(told("a", [{ replicas: 2 }, { replicas: 1 }]), ROLLOUT, 40_000);
  expect(shown?.baseline.metrics?.["restarts"]).toEqual({ events: 0, exposure: 80 });
  expect(shown?.canary.metrics?.["restarts"]).toEqual({ events: 0, exposure: 40 });
});

test("figures that cannot be do no harm", () => {
  const ledger = new ExposureLedger(0);
  const huge = 2 ** 32 - 1;
  const shown = ledger.observe(
    told("a", [
      { replicas: 1, restarts: huge },
      { replicas: huge, restarts: huge },
    ]),
    ROLLOUT,
    0,
  );
  expect(shown?.baseline.metrics?.["restarts"]).toEqual({ events: 1, exposure: 0.001 });
  expect(shown?.canary.metrics?.["restarts"]).toEqual({ events: 10_000, exposure: 10 });
});

/** Three old replicas and a new one that fail at these chances a window and stay away for a while; until decided or so many windows. */
function live(
  judge: Judge,
  chances: readonly [number, number],
  { random, windows }: { random: () => number; windows: number },
): JudgeVerdict {
  const ledger = new ExposureLedger(0);
  const away = [0, 0, 0, 0];
  let verdict = judge.verdict();
  for (let i = 1; i <= windows && verdict.verdict !== "rollback"; i++) {
    const arms: [Seen, Seen] = [
      { replicas: 0, restarts: 0 },
      { replicas: 0, restarts: 0 },
    ];
    for (const [replica, left] of away.entries()) {
      const arm = replica < 3 ? 0 : 1;
      away[replica] = Math.max(0, left - 1);
      if (left > 0) continue;
      arms[arm].replicas++;
      if (random() >= chances[arm]) continue;
      arms[arm].restarts++;
      away[replica] = 8;
    }
    const shown = ledger.observe(told("a", arms), ROLLOUT, i * 250);
    if (shown !== undefined) verdict = judge.observe(shown);
  }
  return verdict;
}

/** Mulberry32, so that a run is the same each time. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

test("replicas that fail alike are rolled back no more often than alpha says, though an end takes a replica out of exposure", () => {
  let rolledBack = 0;
  const runs = 300;
  for (let seed = 1; seed <= runs; seed++) {
    const judge = createJudge({ metrics: METRICS, alpha: 0.1, shares: { restarts: 1 } });
    if (live(judge, [0.02, 0.02], { random: randomOf(seed), windows: 2_000 }).verdict === "rollback") rolledBack++;
  }
  // Three standard errors above a tenth.
  expect(rolledBack).toBeLessThan(runs * 0.1 + 3 * Math.sqrt(runs * 0.09));
});

test("a revision that fails ten times as often is rolled back after few failures", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const judge = createJudge({ metrics: METRICS, shares: { restarts: 1 } });
    const verdict = live(judge, [0.002, 0.02], { random: randomOf(seed), windows: 20_000 });
    expect(verdict).toMatchObject({ verdict: "rollback", metric: "restarts" });
  }
});
