import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "@kedge/kernel";
import { expect, test } from "vitest";
import { DiskSpace } from "./disk-space.ts";

/** The machine's clock with a monotonic time set by hand. */
function handClock(): Clock & { atMs: number } {
  return { ...systemClock, atMs: 0, monotonic: () => clock.atMs };
}
const clock = handClock();

test("tells free space, asks again only after a while, and does not know what it cannot ask about", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kedge-disk-"));
  const space = new DiskSpace(folder, clock);
  expect(space.freeMib).toBeUndefined();
  await space.refresh();
  expect(space.freeMib).toBeGreaterThan(0);
  await rm(folder, { recursive: true });
  clock.atMs += 9_999;
  await space.refresh();
  expect(space.freeMib).toBeGreaterThan(0);
  clock.atMs += 1;
  await space.refresh();
  expect(space.freeMib).toBeUndefined();
});
