import fc from "fast-check";
import { expect, test } from "vitest";
import { countedShares, layOutShares, POINTS, type PointRange } from "./choice-table.ts";

const servers = fc.integer({ min: 1, max: 12 });

/** Slots of revisions 1, 2, …, so many each. */
function slotsOf(counts: readonly number[]): Map<number, number[]> {
  let next = 0;
  return new Map(counts.map((count, i) => [i + 1, Array.from({ length: count }, () => next++)]));
}

function revisionAt(
  ranges: readonly PointRange[],
  slots: ReadonlyMap<number, readonly number[]>,
  point: number,
): number {
  const range = ranges.find(({ from, to }) => from <= point && point < to);
  return [...slots].find(([, each]) => range && each.includes(range.slot))?.[0] ?? 0;
}

/** Shares of revisions 1 (stable), 2 and 3. */
const growing = fc
  .tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 5_000 })))
  .map(([a = 0, b = 0, c = 0, d = 0]) => ({
    before: [Math.min(a, b), Math.min(c, d)],
    after: [Math.max(a, b), Math.max(c, d)],
  }));

test("every point belongs to one slot, and each revision has exactly its share", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 6 }),
      servers,
      (parts, count) => {
        const slots = slotsOf(parts.map((_, i) => 1 + ((count + i) % 5)));
        const whole = parts.slice(1).reduce((a, b) => a + b, 0);
        const shares = new Map(parts.map((part, i) => [i + 1, i === 0 ? 10_000 - whole : part]));
        const ranges = layOutShares(shares, slots, 1).sort((a, b) => a.from - b.from);
        expect(ranges[0]?.from).toBe(0);
        expect(ranges.at(-1)?.to).toBe(POINTS);
        for (const [i, range] of ranges.slice(1).entries()) expect(range.from).toBe(ranges[i]?.to);
        const counted = countedShares(ranges, (slot) => [...slots].find(([, each]) => each.includes(slot))?.[0]);
        expect(counted).toEqual(new Map([...shares].sort().filter(([revision]) => counted.has(revision))));
        expect([...counted.values()].reduce((a, b) => a + b, 0)).toBe(10_000);
      },
    ),
  );
});

test("while one or two others grow, points move to a growing revision only", () => {
  fc.assert(
    fc.property(
      growing,
      fc.array(servers, { minLength: 3, maxLength: 3 }),
      fc.nat(POINTS - 1),
      (shares, counts, point) => {
        const slots = slotsOf(counts);
        const at = ([second = 0, third = 0]: number[]) => {
          const split = new Map([
            [1, 10_000 - second - third],
            [2, second],
            [3, third],
          ]);
          return revisionAt(layOutShares(new Map([...split].filter(([, share]) => share > 0)), slots, 1), slots, point);
        };
        const [before, after] = [at(shares.before), at(shares.after)];
        if (shares.before[0] === 0 || shares.after[0] === 0) return;
        if (before !== after) expect(before).toBe(1);
      },
    ),
  );
});

test("replicas that are warming up take their points out of the judged shares", () => {
  const slots = slotsOf([1, 2]);
  const ranges = layOutShares(
    new Map([
      [1, 5_000],
      [2, 5_000],
    ]),
    slots,
    1,
  );
  const judged = countedShares(ranges, (slot) => (slot === 2 ? undefined : slot === 0 ? 1 : 2));
  expect(judged).toEqual(
    new Map([
      [2, 3_333],
      [1, 6_667],
    ]),
  );
});
