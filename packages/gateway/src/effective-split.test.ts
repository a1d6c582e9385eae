import fc from "fast-check";
import { expect, test } from "vitest";
import { effectiveSplit } from "./effective-split.ts";

const revision = fc.integer({ min: 1, max: 5 });
const splits = fc.uniqueArray(fc.record({ revision, share: fc.integer({ min: 0, max: 10_000 }) }), {
  selector: (split) => split.revision,
  maxLength: 4,
});
const counts = fc.dictionary(fc.constantFrom("1", "2", "3", "4", "5"), fc.integer({ min: 0, max: 6 }));

function routeOf(parts: readonly { revision: number; share: number }[], stableRevision: number) {
  return {
    stableRevision,
    splits: parts.map((part) => ({
      $typeName: "kedge.v1.RouteSplit" as const,
      revision: part.revision,
      basisPoints: part.share,
    })),
  };
}

test("shares add up to the whole or to nothing, and only ready revisions have one", () => {
  fc.assert(
    fc.property(splits, counts, revision, (parts, ready, stable) => {
      const readyCounts = new Map(Object.entries(ready).map(([key, count]) => [Number(key), count]));
      const split = effectiveSplit(routeOf(parts, stable), readyCounts);
      const sum = [...split.values()].reduce((a, b) => a + b, 0);
      expect([0, 10_000]).toContain(sum);
      for (const key of split.keys()) expect(readyCounts.get(key) ?? 0).toBeGreaterThan(0);
    }),
  );
});

test("an unready share goes to the stable revision, else to the rest in proportion", () => {
  const route = routeOf(
    [
      { revision: 1, share: 2_000 },
      { revision: 2, share: 6_000 },
      { revision: 3, share: 2_000 },
    ],
    1,
  );
  const ready = (...revisions: number[]) => new Map(revisions.map((one) => [one, 1]));
  expect([...effectiveSplit(route, ready(1, 3))]).toEqual([
    [1, 8_000],
    [3, 2_000],
  ]);
  expect([...effectiveSplit(route, ready(2, 3))]).toEqual([
    [2, 7_500],
    [3, 2_500],
  ]);
  expect([...effectiveSplit(route, ready(4))]).toEqual([]);
  expect([...effectiveSplit(routeOf([{ revision: 2, share: 10_000 }], 1), ready(1))]).toEqual([[1, 10_000]]);
});
