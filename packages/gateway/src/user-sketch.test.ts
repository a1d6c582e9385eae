import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { UserSketch } from "./user-sketch.ts";

const hashOf = (user: number): number => createHash("sha256").update(String(user)).digest().readUInt32BE();

function sketchOf(users: Iterable<number>): UserSketch {
  const sketch = new UserSketch();
  for (const user of users) sketch.add(hashOf(user));
  return sketch;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test("counts up to 256 users exactly, however often they come and however they are parted", () => {
  const users = fc.array(fc.nat(200), { maxLength: 400 });
  fc.assert(
    fc.property(users, users, (a, b) => {
      const sketch = sketchOf(a);
      sketch.merge(UserSketch.parse(sketchOf(b).toBytes()) ?? new UserSketch());
      expect(sketch.count()).toBe(new Set([...a, ...b]).size);
    }),
  );
});

test("estimates more within four standard errors, also users whose hashes were chosen by remainder", () => {
  for (const size of [300, 2_000, 50_000]) {
    expect(Math.abs(sketchOf(range(0, size)).count() / size - 1)).toBeLessThan(4 * 0.063);
  }
  const chosen = range(0, 60_000).filter((user) => hashOf(user) % 1_000_000 < 50_000);
  expect(Math.abs(sketchOf(chosen).count() / chosen.length - 1)).toBeLessThan(4 * 0.063);
});

test("merging is the same as seeing all", () => {
  const merged = sketchOf(range(0, 3_000));
  merged.merge(UserSketch.parse(sketchOf(range(2_900, 3_050)).toBytes()) ?? new UserSketch());
  expect(merged.toBytes()).toEqual(sketchOf(range(0, 3_050)).toBytes());
});

test("any bytes are a sketch or nothing", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expect(UserSketch.parse(bytes)?.count() ?? 0).toBeGreaterThanOrEqual(0);
    }),
  );
  expect(UserSketch.parse(new Uint8Array())).toBeUndefined();
});
