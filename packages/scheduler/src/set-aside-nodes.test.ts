import { create } from "@bufbuild/protobuf";
import { NodeRejection_Reason, NodeSchema, NodeState, QuarantineState } from "@kedge/proto";
import { expect, test } from "vitest";
import { createCluster } from "./cluster.ts";
import { explain } from "./explain.ts";
import { place } from "./place.ts";
import { measureFragmentation } from "./rebalance-measure.ts";
import { PROBATION_WORK } from "./set-aside-nodes.ts";

const { ACTIVE, PROBATION } = QuarantineState;

const node = (id: string, state?: QuarantineState) =>
  create(NodeSchema, {
    id,
    state: NodeState.READY,
    capacity: { cpuMilli: 4_000 },
    ...(state === undefined ? {} : { quarantine: { state, reason: "tasks fail here" } }),
  });

test("nothing is placed on a node in quarantine, and the explanation says why", () => {
  const cluster = createCluster([node("a", ACTIVE)]);
  expect(place(cluster, { key: "j" }).kind).toBe("unplaced");
  expect(explain(cluster, { key: "j" })).toMatchObject({
    impossible: false,
    rejections: [{ reason: NodeRejection_Reason.QUARANTINED, subject: "in quarantine: tasks fail here" }],
    summary: "no node fits: 1 in quarantine: tasks fail here",
    remedies: ["a would take it when released (now in quarantine: tasks fail here)"],
  });
});

test("a release counts at once, also for demands asked for before", () => {
  const cluster = createCluster([node("a", ACTIVE)]);
  expect(place(cluster, { key: "j" }).kind).toBe("unplaced");
  cluster.upsertNode(node("a"));
  expect(place(cluster, { key: "j" })).toMatchObject({ kind: "placed", nodeId: "a" });
});

test("a node on probation takes so much and no more, until something ends", () => {
  const cluster = createCluster([node("a", PROBATION)]);
  for (let i = 0; i < PROBATION_WORK; i++) {
    expect(place(cluster, { key: `k${i}` }).kind).toBe("placed");
    cluster.reserve("a", `k${i}`, undefined);
  }
  expect(place(cluster, { key: "one-more" }).kind).toBe("unplaced");
  cluster.release("k0");
  expect(place(cluster, { key: "one-more" }).kind).toBe("placed");
});

test("a demand keeps off the nodes it avoids; others like it do not", () => {
  const cluster = createCluster([node("a"), node("b")]);
  const avoid = new Map([["a", "it crashed there"]]);
  expect(place(cluster, { key: "j", avoid })).toMatchObject({ nodeId: "b" });
  cluster.removeNode("b");
  expect(place(cluster, { key: "j", avoid }).kind).toBe("unplaced");
  expect(explain(cluster, { key: "j", avoid }).summary).toContain("avoided for now (it crashed there)");
  expect(place(cluster, { key: "j" })).toMatchObject({ nodeId: "a" });
});

test("room on nodes that are set aside counts as no room that could be put together", () => {
  expect(measureFragmentation(createCluster([node("a"), node("b", ACTIVE)])).emptyNodes).toBe(1);
});
