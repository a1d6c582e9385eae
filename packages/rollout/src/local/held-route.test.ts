import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { LocalDecisionKind, LocalDecisionSchema, type Route, RouteSchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { heldRoute, shareOf } from "./held-route.ts";

const decided = (kind: LocalDecisionKind, heldBasisPoints = 0) =>
  create(LocalDecisionSchema, { kind, heldBasisPoints, revision: 2, fromRevision: 1, reason: "worse" });
const routeOf = (share: number, more: MessageInitShape<typeof RouteSchema> = {}): Route =>
  create(RouteSchema, {
    splits: [
      { revision: 1, basisPoints: 10_000 - share },
      { revision: 2, basisPoints: share },
    ],
    stableRevision: 1,
    ...more,
  });
const scale = (old: { readonly assigned: number; readonly ready: number }, fresh = 0) => ({
  assigned: (revision: number) => (revision === 1 ? old.assigned : fresh),
  ready: (revision: number) => (revision === 1 ? old.ready : fresh),
});

describe("the route of a node that has decided alone", () => {
  it("gives the revision nothing after a roll-back, in no way", () => {
    const mirrors = [{ revision: 2, basisPoints: 4000 }];
    const route = routeOf(5000, { previewRevision: 2, mirrors, matches: [{ revision: 2 }, { revision: 1 }] });
    const held = heldRoute(route, decided(LocalDecisionKind.ROLLBACK), scale({ assigned: 2, ready: 2 }));
    expect(held.splits).toMatchObject([{ revision: 1, basisPoints: 10_000 }]);
    expect(held).toMatchObject({ previewRevision: 0, mirrors: [], matches: [{ revision: 1 }] });
  });

  it("leaves it what the old replicas cannot carry, and all of it where there are none", () => {
    const held = (assigned: number, ready: number, fresh = 0, more: MessageInitShape<typeof RouteSchema> = {}) =>
      shareOf(
        heldRoute(routeOf(8000, more), decided(LocalDecisionKind.ROLLBACK), scale({ assigned, ready }, fresh)),
        2,
      );
    expect(held(4, 3)).toBe(2500);
    expect(held(4, 0)).toBe(8000);
    expect(held(0, 0)).toBe(8000);
    expect(held(1, 1, 3, { judgement: { exchanging: true } })).toBe(7500);
  });

  it("falls back to the old revision even when the controller has promoted the new one meanwhile", () => {
    const promoted = create(RouteSchema, { splits: [{ revision: 2, basisPoints: 10_000 }], stableRevision: 2 });
    const held = heldRoute(promoted, decided(LocalDecisionKind.ROLLBACK), scale({ assigned: 1, ready: 1 }));
    expect(held).toMatchObject({ stableRevision: 1, splits: [{ revision: 1, basisPoints: 10_000 }] });
  });

  it("never gives the revision more than the route or the held share does, and always splits all of it", () => {
    const input = fc.record({
      kind: fc.constantFrom(LocalDecisionKind.PAUSE, LocalDecisionKind.ROLLBACK),
      share: fc.integer({ min: 0, max: 10_000 }),
      held: fc.integer({ min: 0, max: 10_000 }),
      assigned: fc.integer({ min: 0, max: 5 }),
      ready: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(input, ({ kind, share, held, assigned, ready }) => {
        const old = { assigned, ready: Math.min(ready, assigned) };
        const left = kind === LocalDecisionKind.PAUSE ? held : 0;
        const after = heldRoute(routeOf(share), decided(kind, left), scale(old));
        const carried = assigned === 0 ? 0 : Math.floor((10_000 * old.ready) / assigned);
        const most = kind === LocalDecisionKind.PAUSE ? left : 10_000 - carried;
        expect(shareOf(after, 2)).toBe(Math.min(share, most));
        expect(after.splits.reduce((sum, { basisPoints }) => sum + basisPoints, 0)).toBe(10_000);
      }),
    );
  });
});
