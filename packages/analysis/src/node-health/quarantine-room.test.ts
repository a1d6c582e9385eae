import { expect, test } from "vitest";
import { type FleetNode, obstacleToQuarantine } from "./quarantine-room.ts";

const fleet = (count: number, change: (i: number) => Partial<FleetNode> = () => ({})): FleetNode[] =>
  Array.from({ length: count }, (_, i) => ({
    nodeId: `n${i}`,
    capacity: { cpu_milli: 1_000 },
    isInService: true,
    isQuarantined: false,
    ...change(i),
  }));

const aside = { isInService: false, isQuarantined: true };

test("a tenth may go, one at least", () => {
  const room = { needed: {}, maxPercent: 10 };
  const obstacle = (nodes: FleetNode[]) => obstacleToQuarantine("n5", { ...room, nodes });
  expect(obstacle(fleet(6))).toBeUndefined();
  expect(obstacle(fleet(6, (i) => (i === 0 ? aside : {})))).toBe(
    "1 of 6 nodes are in quarantine already, the most that may be",
  );
  expect(obstacle(fleet(30, (i) => (i < 2 ? aside : {})))).toBeUndefined();
  expect(obstacle(fleet(30, (i) => (i < 3 ? aside : {})))).toContain("3 of 30");
});

test("the last node that takes work stays", () => {
  const nodes = fleet(3, (i) => ({ isInService: i === 0 }));
  expect(obstacleToQuarantine("n0", { nodes, needed: {}, maxPercent: 50 })).toBe("no other node takes work");
});

test("what the deployments need stays in service", () => {
  const nodes = fleet(3);
  const withNeed = (cpu_milli: number) => obstacleToQuarantine("n0", { nodes, needed: { cpu_milli }, maxPercent: 50 });
  expect(withNeed(2_000)).toBeUndefined();
  expect(withNeed(2_001)).toBe("the other nodes have too little cpu_milli for what the deployments need");
});
