import fc from "fast-check";
import { expect, test } from "vitest";
import type { CauseQuery } from "./cause-types.ts";
import { rankCauses } from "./rank-causes.ts";
import type { RankedMetric } from "./rank-metrics.ts";

const rise = (component: string, sigmas: number, distance = 1): RankedMetric => ({
  metric: `${component}_latency`,
  component,
  sigmas,
  distance,
});
const query = (parts: Partial<CauseQuery>): CauseQuery => ({
  metrics: [],
  calls: [],
  startedAtSeconds: 10_000,
  ...parts,
});
const names = (parts: Partial<CauseQuery>): string[] => rankCauses(query(parts)).map(({ name }) => name);

const chain = [
  ["web", "api"],
  ["api", "db"],
] as const;

test("what is anomalous without an anomalous callee comes first, and the others say whom they blame", () => {
  const suspects = rankCauses(query({ metrics: [rise("web", 40), rise("api", 30), rise("db", 20)], calls: chain }));
  expect(suspects.map(({ name }) => name)).toEqual(
    ["db", "web", "api"].sort((a, b) => (a === "db" ? -1 : b === "db" ? 1 : 0)),
  );
  expect(suspects[0]?.reasons).toContain("nothing it calls is anomalous");
  expect(suspects.find(({ name }) => name === "api")?.reasons.at(-1)).toContain("db most");
});

test("a calm callee explains nothing", () => {
  expect(names({ metrics: [rise("api", 30), rise("db", -3, 0.2)], calls: chain })).toEqual(["api"]);
});

test("of two alike, the one that was changed shortly before comes first, and says so", () => {
  const changes = [{ target: "b", epochSeconds: 9_900, what: "deployed revision 7" }];
  const suspects = rankCauses(query({ metrics: [rise("a", 20), rise("b", 20)], changes }));
  expect(suspects[0]?.name).toBe("b");
  expect(suspects[0]?.reasons).toContain("deployed revision 7 100 s before");
});

test.each([
  ["long ago", 10_000 - 86_400],
  ["afterwards", 10_200],
])("a change %s does not count", (_name, epochSeconds) => {
  const changes = [{ target: "b", epochSeconds, what: "deployed" }];
  const [first, second] = rankCauses(query({ metrics: [rise("a", 20), rise("b", 20)], changes }));
  expect(first?.name).toBe("a");
  expect(second?.reasons.join()).not.toContain("deployed");
});

test("a change alone is no evidence", () => {
  const changes = [{ target: "db", epochSeconds: 9_999, what: "deployed" }];
  expect(names({ metrics: [rise("web", 20)], calls: chain, changes })).toEqual(["web"]);
});

test("what several replicas have in common is the suspect: a node, or a revision", () => {
  const metrics = [rise("r1", 30), rise("r2", 28), rise("r3", 0, 0.1), rise("r4", 0, 0.1)];
  const groups = [
    { kind: "node", name: "edge-1", members: ["r1", "r3"] },
    { kind: "node", name: "edge-2", members: ["r2", "r4"] },
    { kind: "revision", name: "vad@7", members: ["r1", "r2"] },
    { kind: "revision", name: "vad@6", members: ["r3", "r4"] },
  ];
  const [first] = rankCauses(query({ metrics, groups }));
  expect(first).toMatchObject({ name: "vad@7", kind: "revision" });
  expect(first?.reasons).toContain("2 of 2 on this revision are anomalous, 0 of 2 elsewhere");
});

test("any graph, cycles included, gives finite weights in falling order, the same every time", () => {
  const name = fc.constantFrom("a", "b", "c", "d");
  const metric = fc.tuple(
    name,
    fc.double({ min: -50, max: 1e9, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(metric), fc.array(fc.tuple(name, name)), (list, calls) => {
      const metrics = list.map(([component, sigmas, distance]) => rise(component, sigmas, distance));
      const suspects = rankCauses(query({ metrics, calls }));
      for (const [index, { weight, reasons }] of suspects.entries()) {
        expect(Number.isFinite(weight) && weight > 0).toBe(true);
        expect(weight).toBeLessThanOrEqual(suspects[index - 1]?.weight ?? Number.POSITIVE_INFINITY);
        expect(reasons.length).toBeGreaterThan(0);
      }
      expect(rankCauses(query({ metrics, calls }))).toEqual(suspects);
    }),
  );
});
