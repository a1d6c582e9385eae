import { KedgeError } from "@kedge/domain";
import { afterEach, expect, test } from "vitest";
import type { Clock } from "./clock.ts";
import { silentLogger } from "./logger.ts";
import { type ReconcileResult, Reconciler } from "./reconciler.ts";

/** A clock that stands still until it is told; timers fire in order of time. */
class FakeClock implements Clock {
  time = 0;
  readonly timers = new Map<() => void, number>();
  now = (): number => this.time;
  monotonic = (): number => this.time;
  sleep = (): Promise<void> => Promise.reject(new Error("nothing here sleeps"));
  after = (ms: number, callback: () => void): (() => void) => {
    this.timers.set(callback, this.time + ms);
    return () => this.timers.delete(callback);
  };

  advance(ms: number): void {
    this.time += ms;
    const due = [...this.timers].filter(([, at]) => at <= this.time).sort((a, b) => a[1] - b[1]);
    for (const [callback] of due) if (this.timers.delete(callback)) callback();
  }
}

const clock = new FakeClock();
let reconciler: Reconciler | undefined;
afterEach(async () => {
  await reconciler?.stop();
  expect(clock.timers.size).toBe(0);
});

/** A started reconciler whose runs of a key have these outcomes, in order; then nothing more is asked for. */
function started(...outcomes: (ReconcileResult | Error)[]): { readonly runs: string[] } {
  const runs: string[] = [];
  reconciler = new Reconciler({
    name: "test",
    clock,
    logger: silentLogger,
    reconcile: async (key) => {
      const outcome = outcomes[runs.push(key) - 1];
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  });
  reconciler.start();
  return { runs };
}

/** Lets all promises that are settled already run on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a requeue looks again after its time and not before", async () => {
  const { runs } = started({ requeueAfterMs: 1000 });
  reconciler?.add("k");
  await settle();
  clock.advance(999);
  await settle();
  expect(runs).toEqual(["k"]);
  clock.advance(1);
  await settle();
  expect(runs).toEqual(["k", "k"]);
});

test("a lost race is retried at once", async () => {
  const { runs } = started(new KedgeError("CONFLICT", "lost"), new KedgeError("CONFLICT", "lost"));
  reconciler?.add("k");
  await settle();
  expect(runs).toEqual(["k", "k", "k"]);
});

test("failures back off, each at most twice as long as the one before, up to a bound", async () => {
  const { runs } = started(...Array.from({ length: 12 }, () => new Error("no")));
  reconciler?.add("k");
  await settle();
  for (let failures = 1; failures <= 12; failures++) {
    const longest = Math.min(15_000, 50 * 2 ** (failures - 1));
    expect(runs).toHaveLength(failures);
    clock.advance(longest / 2 - 1);
    await settle();
    expect(runs).toHaveLength(failures);
    clock.advance(longest / 2 + 1);
    await settle();
  }
  expect(runs).toHaveLength(13);
  expect(clock.timers.size).toBe(0);
});

test("an event does not wait for the backoff, and replaces it", async () => {
  const { runs } = started(new Error("no"));
  reconciler?.add("k");
  await settle();
  reconciler?.add("k");
  await settle();
  expect(runs).toEqual(["k", "k"]);
  expect(clock.timers.size).toBe(0);
});

test("stop aborts the signal, waits for the run under way and leaves no timer", async () => {
  const ended: boolean[] = [];
  reconciler = new Reconciler({
    name: "test",
    clock,
    logger: silentLogger,
    reconcile: async (_key, signal) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      ended.push(signal.aborted);
      return { requeueAfterMs: 10 };
    },
  });
  reconciler.start();
  reconciler.add("k");
  await settle();
  await reconciler.stop();
  expect(clock.timers.size).toBe(0);
  expect(ended).toEqual([true]);
});
