import { type Clock, silentLogger } from "@kedge/kernel";
import { describe, expect, it } from "vitest";
import { Lease } from "./lease.ts";

/** A clock that moves only when told to; timers and sleeps fire in order. */
class ManualClock implements Clock {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];
  now = () => 1_000_000 + this.#now;
  monotonic = () => this.#now;
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      this.after(ms, resolve);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const next = this.#timers.filter((each) => each.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.#now = next.at;
      next.run();
    }
    this.#now = end;
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

function setUp(lastRenewalAgeMs?: number) {
  const clock = new ManualClock();
  const seen = { renewals: 0, expired: 0, up: true, suspendedMs: 0, noted: Promise.resolve() };
  const lease = new Lease({
    clock,
    logger: silentLogger,
    elapsedMs: () => clock.monotonic() + seen.suspendedMs,
    renew: () => {
      if (!seen.up) return Promise.reject(new Error("down"));
      seen.renewals += 1;
      return Promise.resolve();
    },
    onRenewed: () => seen.noted,
    onExpired: () => {
      seen.expired += 1;
    },
    lastRenewedAtMs: lastRenewalAgeMs === undefined ? undefined : clock.monotonic() - lastRenewalAgeMs,
  });
  return { clock, seen, lease };
}

describe("Lease", () => {
  it("renews every 10 s", async () => {
    const { clock, seen, lease } = setUp();
    lease.start();
    await clock.advance(25_000);
    expect(seen).toMatchObject({ renewals: 3, expired: 0 });
    expect(lease.held).toBe(true);
    await lease.stop();
  });

  it("runs out 30 s after the last renewal was sent, once, and comes back", async () => {
    const { clock, seen, lease } = setUp();
    lease.start();
    await clock.advance(1);
    seen.up = false;
    await clock.advance(29_998);
    expect([lease.held, seen.expired]).toEqual([true, 0]);
    await clock.advance(2);
    expect([lease.held, seen.expired]).toEqual([false, 1]);
    await clock.advance(60_000);
    expect(seen.expired).toBe(1);
    seen.up = true;
    await clock.advance(2000);
    expect(lease.held).toBe(true);
    await lease.stop();
  });

  it("begins when the next process would know of it, and does not wait for that again", async () => {
    const { clock, seen, lease } = setUp();
    const note = Promise.withResolvers<void>();
    seen.noted = note.promise;
    lease.start();
    await clock.advance(5000);
    expect([seen.renewals, lease.held]).toEqual([1, false]);
    note.resolve();
    await clock.advance(1);
    expect(lease.held).toBe(true);
    seen.noted = new Promise(() => {});
    await clock.advance(40_000);
    expect([lease.held, seen.expired]).toEqual([true, 0]);
    await lease.stop();
  });

  it("ends also while the note of its beginning hangs", async () => {
    const { clock, seen, lease } = setUp();
    seen.noted = new Promise(() => {});
    lease.start();
    await clock.advance(1);
    await lease.stop();
    expect(lease.held).toBe(false);
  });

  it("goes on from an earlier process's renewal", async () => {
    const { clock, seen, lease } = setUp(12_000);
    seen.up = false;
    lease.start();
    expect(lease.held).toBe(true);
    await clock.advance(18_001);
    expect(seen.expired).toBe(1);
    await lease.stop();
    expect(setUp(30_001).lease.held).toBe(false);
    expect(setUp(-5).lease.held).toBe(false);
  });

  it("renews on demand only when the last renewal is too old", async () => {
    const { clock, seen, lease } = setUp();
    expect(await lease.ensureFresh(20_000)).toBe(true);
    expect(await lease.ensureFresh(20_000)).toBe(true);
    expect(seen.renewals).toBe(1);
    seen.up = false;
    await clock.advance(20_001);
    expect(await lease.ensureFresh(20_000)).toBe(false);
  });

  it("notices that the machine was suspended, before a renewal can hide it", async () => {
    const { clock, seen, lease } = setUp();
    lease.start();
    await clock.advance(1000);
    seen.suspendedMs = 40_000;
    expect(lease.held).toBe(false);
    expect(await lease.ensureFresh()).toBe(true);
    expect([lease.held, seen.expired]).toEqual([true, 1]);
    seen.suspendedMs = 80_000;
    seen.up = false;
    await clock.advance(2000);
    expect([lease.held, seen.expired]).toEqual([false, 2]);
    await lease.stop();
  });
});
