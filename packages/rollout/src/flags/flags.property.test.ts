import { clone } from "@bufbuild/protobuf";
import { type Flag, type FlagRange, FlagSchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { flagSet, flagValue, splitRule, switchFlag } from "../testing/example-flags.ts";
import { layOut, PLACES, placeOf, variantAt } from "./places.ts";

const NAMES = ["a", "b", "c", "d", "e"];
const VARIANTS = Object.fromEntries(NAMES.map((name) => [name, flagValue(name)]));
const USERS = Array.from({ length: 4000 }, (_, i) => `user-${i}`);

/** Shares that make the whole, over some of the variants in any order. */
const shares: fc.Arbitrary<Shares> = fc.shuffledSubarray(NAMES, { minLength: 1 }).chain((names) => {
  const cuts = fc.array(fc.nat(PLACES), { minLength: names.length - 1, maxLength: names.length - 1 });
  return cuts.map((unsorted) => {
    const ends = [...unsorted.sort((a, b) => a - b), PLACES];
    return Object.fromEntries(names.map((name, i) => [name, (ends[i] ?? 0) - (ends[i - 1] ?? 0)]));
  });
});

type Shares = Readonly<Record<string, number>>;

function rangesAfter(history: readonly Shares[]): FlagRange[] {
  return history.reduce<FlagRange[]>((ranges, next) => layOut(asShares(next), ranges), []);
}

function asShares(record: Shares) {
  return switchFlag({ variants: VARIANTS, rules: [splitRule(record)] }).rules.flatMap(({ serve }) =>
    serve.case === "split" ? serve.value.shares : [],
  );
}

const owners = (ranges: readonly FlagRange[]): string[] =>
  Array.from({ length: PLACES }, (_, place) => variantAt(ranges, place) ?? "none");

describe("places of a split", () => {
  it("are shared out exactly, whatever was before", () => {
    fc.assert(
      fc.property(fc.array(shares, { minLength: 1, maxLength: 6 }), (history) => {
        const owned = owners(rangesAfter(history));
        const last: Shares = history.at(-1) ?? {};
        for (const name of NAMES) {
          expect(owned.filter((owner) => owner === name)).toHaveLength(last[name] ?? 0);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("stay with a variant as long as its share does not shrink, whatever the others do", () => {
    fc.assert(
      fc.property(fc.array(shares, { minLength: 1, maxLength: 5 }), shares, (history, next) => {
        const before = rangesAfter(history);
        const last: Shares = history.at(-1) ?? {};
        const [old, now] = [owners(before), owners(layOut(asShares(next), before))];
        for (const name of NAMES) {
          const stays = Math.min(last[name] ?? 0, next[name] ?? 0);
          expect(old.filter((owner, place) => owner === name && now[place] === name)).toHaveLength(stays);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("do not fall to pieces in a long life", () => {
    fc.assert(
      fc.property(fc.array(shares, { minLength: 100, maxLength: 100 }), (history) => {
        expect(rangesAfter(history).length).toBeLessThan(history.length * NAMES.length);
      }),
      { numRuns: 10 },
    );
  });
});

const served = (flag: Flag): Map<string, unknown> => {
  const set = flagSet(flag);
  return new Map(USERS.map((targetingKey) => [targetingKey, set.evaluate(flag.name, { targetingKey }).variant]));
};

describe("a split of users", () => {
  it("gives each variant its share, within four standard errors", () => {
    fc.assert(
      fc.property(shares, fc.stringMatching(/^[a-z]{1,12}$/), (record, name) => {
        const got = served(switchFlag({ name, variants: VARIANTS, rules: [splitRule(record)] }));
        for (const [variant, basisPoints] of Object.entries(record)) {
          const share = basisPoints / PLACES;
          const count = [...got.values()].filter((each) => each === variant).length;
          const standardError = Math.sqrt(USERS.length * share * (1 - share));
          expect(Math.abs(count - USERS.length * share)).toBeLessThanOrEqual(4 * standardError + 1);
        }
      }),
      { numRuns: 50, seed: 7 },
    );
  });

  it("keeps every user of a variant while it grows from nothing to all", () => {
    let flag: Flag | undefined;
    const users: Set<string>[] = [];
    for (const on of [0, 1, 100, 500, 2500, 5000, 9999, 10_000]) {
      flag = switchFlag({ rules: [splitRule({ on, off: PLACES - on })] }, flag);
      users.push(new Set([...served(flag)].flatMap(([user, variant]) => (variant === "on" ? [user] : []))));
    }
    for (const [i, now] of users.entries()) {
      for (const user of users[i - 1] ?? []) expect(now.has(user)).toBe(true);
    }
    expect([users[0]?.size, users.at(-1)?.size]).toEqual([0, USERS.length]);
  });

  it("of one flag says nothing about that of another, unless they share their salt", () => {
    const half = { on: 5000, off: 5000 };
    const both = (a: Flag, b: Flag): number => {
      const [one, other] = [served(a), served(b)];
      return USERS.filter((user) => one.get(user) === other.get(user)).length / USERS.length;
    };
    const flag = (name: string, salt = "") => switchFlag({ name, rules: [splitRule(half, "", salt)] });
    // Independent halves agree on a half; the standard error is 0.8 %.
    expect(Math.abs(both(flag("one"), flag("two")) - 0.5)).toBeLessThan(0.032);
    expect(Math.abs(both(flag("f-1"), flag("f-2")) - 0.5)).toBeLessThan(0.032);
    expect(both(flag("one", "s"), flag("two", "s"))).toBe(1);
  });

  it("has places within bounds for any text, the same each time", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), (salt, value) => {
        const place = placeOf(salt, value);
        expect(Number.isInteger(place) && place >= 0 && place < PLACES).toBe(true);
        expect(placeOf(salt, value)).toBe(place);
      }),
    );
  });
});

describe("evaluation", () => {
  it("never throws and changes nothing, whatever the attributes are", () => {
    const conditions = [{ attribute: "a.b", test: { case: "prefix" as const, value: { texts: ["x"] } } }];
    const rules = [
      { name: "r", conditions, serve: { case: "variant" as const, value: "on" } },
      splitRule({ on: 10_000 }),
    ];
    const flag = switchFlag({ rules });
    const before = clone(FlagSchema, flag);
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("a", "a.b", "targetingKey", "__proto__"), fc.anything()),
        (attributes) => {
          const { reason, errorCode } = flagSet(flag).evaluate("dark", attributes);
          expect(reason === "ERROR").toBe(errorCode !== undefined);
          expect(flag).toEqual(before);
        },
      ),
    );
  });
});
