import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MatchKind, RequestSource, RouteSchema } from "@kedge/proto";
import { expect, it } from "vitest";
import { routeOfNode } from "./node-route.ts";

const route = (init: MessageInitShape<typeof RouteSchema>) =>
  create(RouteSchema, { deployment: "m", stableRevision: 1, splits: [{ revision: 1, basisPoints: 10_000 }], ...init });

it("takes the splits of the first wave that the node's labels fit", () => {
  const wave = (nodeSelector: Record<string, string>, revision: number) => ({
    nodeSelector,
    splits: [{ revision, basisPoints: 10_000 }],
  });
  const waves = [wave({ site: "eu", kind: "edge" }, 2), wave({ site: "eu" }, 3)];
  const revisionFor = (labels: Record<string, string>) =>
    routeOfNode(route({ waves }), labels).route.splits.map(({ revision }) => revision);
  expect(revisionFor({ site: "eu", kind: "edge", x: "y" })).toEqual([2]);
  expect(revisionFor({ site: "eu" })).toEqual([3]);
  expect(revisionFor({ site: "us" })).toEqual([1]);
  expect(routeOfNode(route({ waves: [...waves, wave({}, 4)] }), {}).route.splits[0]?.revision).toBe(4);
});

it("leaves out rules that the gateway refuses, and says why; the split stays", () => {
  const rule = (value: string) => ({
    match: { key: { source: RequestSource.HEADER, name: "x-group" }, kind: MatchKind.EXACT, values: [value] },
    revision: 2,
  });
  const good = routeOfNode(route({ matches: [rule("a; b")], previewRevision: 2 }), {});
  expect(good.refused).toBeUndefined();
  expect(good.route).toMatchObject({ matches: [rule("a; b")], previewRevision: 2 });
  const bad = routeOfNode(route({ matches: [rule("a\nb")], previewRevision: 2 }), {});
  expect(bad.refused).toContain("matches.values");
  expect(bad.route).toMatchObject({ deployment: "m", stableRevision: 1, matches: [], previewRevision: 0 });
  expect(bad.route.splits).toEqual(route({}).splits);
});
