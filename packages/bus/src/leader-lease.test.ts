import { silentLogger, systemClock } from "@kedge/kernel";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bus } from "./bus.ts";
import { LeaderLease } from "./leader-lease.ts";
import { startTestBus, type TestBus } from "./testing/test-bus.ts";

describe("the leader lease", () => {
  let world: TestBus;

  beforeAll(async () => {
    world = await startTestBus();
  });

  afterAll(async () => {
    await world.stop();
  });

  const candidate = (bus: Bus, holder: string, log: string[], key: string): LeaderLease =>
    new LeaderLease({
      bus,
      key,
      holder,
      ttlMs: 600,
      onElected: () => void log.push(`${holder} elected`),
      onLost: () => void log.push(`${holder} lost`),
      clock: systemClock,
      logger: silentLogger,
    });

  it("has one holder, is handed over on stop, and is taken when a holder falls silent", async () => {
    const log: string[] = [];
    const silent = await world.connectController("silent");
    const first = candidate(world.bus, "first", log, "k");
    const second = candidate(silent, "second", log, "k");
    const third = candidate(world.bus, "third", log, "k");
    await first.start();
    await expect.poll(() => first.isLeader).toBe(true);
    await second.start();
    await first.stop();
    await expect.poll(() => second.isLeader, { timeout: 5_000 }).toBe(true);
    await third.start();
    await silent.close();
    await expect.poll(() => third.isLeader, { timeout: 10_000 }).toBe(true);
    expect(second.isLeader).toBe(false);
    expect(log).toEqual(["first elected", "first lost", "second elected", "second lost", "third elected"]);
    await third.stop();
    await second.stop();
  });

  it("goes back at once to a holder that starts again", async () => {
    const log: string[] = [];
    const lost = await world.connectController("lost");
    const before = candidate(lost, "same", log, "again");
    await before.start();
    await expect.poll(() => before.isLeader).toBe(true);
    await lost.close();
    const after = candidate(world.bus, "same", log, "again");
    await after.start();
    await expect.poll(() => after.isLeader, { timeout: 300 }).toBe(true);
    await Promise.all([before.stop(), after.stop()]);
  });
});
