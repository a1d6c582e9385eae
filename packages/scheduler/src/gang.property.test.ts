import { create } from "@bufbuild/protobuf";
import { NodeSchema, NodeState, PlacementSchema, ResourceRequestSchema } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createCluster } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { placeGang } from "./gang.ts";

const nodes = fc
  .array(fc.record({ cpuMilli: fc.integer({ min: 1, max: 6 }), zone: fc.constantFrom("x", "y") }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((list) =>
    list.map(({ cpuMilli, zone }, i) =>
      create(NodeSchema, { id: `n${i}`, state: NodeState.READY, labels: { zone }, capacity: { cpuMilli } }),
    ),
  );
const members = fc.array(
  fc.record({ cpuMilli: fc.integer({ min: 1, max: 5 }), zone: fc.constantFrom(undefined, "x", "y") }),
  { minLength: 1, maxLength: 4 },
);

test("a gang is placed exactly when brute force finds room for all of it, and never in part", () => {
  fc.assert(
    fc.property(nodes, members, (known, gang) => {
      const cluster = createCluster(known);
      const demands = gang.map(
        ({ cpuMilli, zone }, i): Demand => ({
          key: `m${i}`,
          resources: create(ResourceRequestSchema, { cpuMilli }),
          placement: create(PlacementSchema, zone === undefined ? {} : { nodeSelector: { zone } }),
        }),
      );
      const result = placeGang(cluster, demands);
      expect(known.flatMap(({ id }) => cluster.reservationsOn(id))).toEqual([]);
      const free = known.map(({ capacity }) => capacity?.cpuMilli ?? 0);
      const zones = known.map(({ labels }) => labels["zone"]);
      expect(result.kind).toBe(fitsSomehow(gang, free, zones) ? "placed" : "unplaced");
      if (result.kind === "unplaced") return;
      for (const [i, { nodeId }] of result.placements.entries()) {
        const at = known.findIndex(({ id }) => id === nodeId);
        free[at] = (free[at] ?? 0) - (gang[i]?.cpuMilli ?? 0);
        expect([undefined, zones[at]]).toContain(gang[i]?.zone);
      }
      expect(Math.min(...free)).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 500 },
  );
});

interface Member {
  readonly cpuMilli: number;
  readonly zone: string | undefined;
}

function fitsSomehow(
  gang: readonly Member[],
  free: readonly number[],
  zones: readonly (string | undefined)[],
): boolean {
  const [first, ...others] = gang;
  if (first === undefined) return true;
  return free.some((room, i) => {
    if (room < first.cpuMilli || (first.zone !== undefined && zones[i] !== first.zone)) return false;
    return fitsSomehow(others, free.with(i, room - first.cpuMilli), zones);
  });
}
