import fc from "fast-check";
import { expect, test } from "vitest";
import { isUlid, ulid } from "./ulid.ts";

const time = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 });

test("ulids are well-formed and sort by time", () => {
  fc.assert(
    fc.property(time, time, bytes, bytes, (a, b, first, second) => {
      expect(isUlid(ulid(a, first))).toBe(true);
      if (a !== b) expect(ulid(a, first) < ulid(b, second)).toBe(a < b);
    }),
  );
});

test("within a millisecond the random bytes tell them apart", () => {
  fc.assert(
    fc.property(time, bytes, bytes, (now, first, second) => {
      expect(ulid(now, first) === ulid(now, second)).toBe(first.every((byte, i) => byte === second[i]));
    }),
  );
});

test("a known value", () => {
  expect(ulid(1_469_918_176_385, new Uint8Array(10))).toBe(`01aryz6s41${"0".repeat(16)}`);
});
