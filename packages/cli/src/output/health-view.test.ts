import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  DeploymentSchema,
  HealthLevel,
  NodeSchema,
  QuarantineState,
  ReplicaFailure,
  ReplicaStatusSchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { healthView, movesView, replicaNote } from "./health-view.ts";

test("a node that is well has nothing to tell", () => {
  expect(healthView(create(NodeSchema, { health: { level: HealthLevel.HEALTHY } }))).toEqual([]);
});

test("quarantine and evidence are told on lines of their own, made harmless", () => {
  const node = create(NodeSchema, {
    quarantine: { state: QuarantineState.ACTIVE, reason: "disk\u001b[2J errors", by: "ann" },
    health: { level: HealthLevel.SICK, reasons: [{ text: "5 of 6 fail", clears: "none fails for 15 min" }] },
  });
  expect(healthView(node)).toEqual([
    "quarantine: active until it is released, by ann: disk\ufffd[2J errors",
    "sick: 5 of 6 fail; clears when none fails for 15 min",
  ]);
});

test("a deployment shows what moves, and where it does not go for now", () => {
  const until = timestampFromMs(systemClock.now() + 90_500);
  const deployment = create(DeploymentSchema, {
    moves: [{ replicaId: "vad.1.n1.0", toNodeId: "n2" }],
    avoidedNodes: [{ nodeId: "n1", until, reason: "it crashes there" }],
  });
  expect(movesView(deployment)).toEqual([
    "moving: vad.1.n1.0 to n2: a rebalance",
    "avoids n1 for 1m30s more: it crashes there",
  ]);
});

test("a replica that is tried again tells why and when", () => {
  const retryAt = timestampFromMs(systemClock.now() + 90_500);
  const failing = { message: "exited with code 137", memoryKills: 2, retryAt };
  expect(replicaNote(create(ReplicaStatusSchema, failing))).toBe(
    "exited with code 137; killed for its memory 2 times; next try in 1m30s",
  );
  const recovered = { lastFailure: ReplicaFailure.START_TIMEOUT };
  expect(replicaNote(create(ReplicaStatusSchema, recovered))).toBe("last failure: start-timeout");
  expect(replicaNote(create(ReplicaStatusSchema))).toBe("");
});
