import { systemClock } from "@kedge/kernel";
import { expect, test } from "vitest";
import { RestartBackoff } from "./restart-backoff.ts";

function backoffAt(random: number) {
  const time = { ms: 0 };
  const backoff = new RestartBackoff({ ...systemClock, monotonic: () => time.ms }, () => random);
  return { backoff, time };
}

test("waits twice as long after each failure, to a limit", () => {
  const { backoff } = backoffAt(1);
  const waits = Array.from({ length: 10 }, () => backoff.failed());
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000]);
  expect(backoff.failures).toBe(10);
});

test("chance takes off up to half", () => {
  expect(backoffAt(0).backoff.failed()).toBe(50);
  expect(backoffAt(0.5).backoff.failed()).toBe(75);
});

test("a minute of being ready makes good; less does not, nor does a long time of failing", () => {
  const { backoff, time } = backoffAt(1);
  for (let i = 0; i < 5; i++) backoff.failed();
  backoff.ready();
  time.ms += 59_999;
  expect(backoff.failed()).toBe(3_200);
  time.ms += 3_600_000;
  expect(backoff.failed()).toBe(6_400);
  backoff.ready();
  time.ms += 60_000;
  expect(backoff.failed()).toBe(100);
  expect(backoff.failures).toBe(1);
});
