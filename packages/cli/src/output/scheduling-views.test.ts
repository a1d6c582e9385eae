import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  ExplainJobResponseSchema,
  HeldBack_Reason,
  HeldBackSchema,
  NodeRejection_Reason,
  NodeRejectionSchema,
  QueueEntrySchema,
  RebalanceResponseSchema,
  TeamUsageSchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { describeRejection } from "./rejection-text.ts";
import { heldBackText, jobWhyView, queueTable, rebalanceView, teamTable } from "./scheduling-views.ts";

test("a waiting job says what it waits for besides room, and what room is held for it", () => {
  const entry = create(QueueEntrySchema, {
    runId: "01A",
    job: "train",
    pipeline: "demo",
    team: "vision",
    priority: -3,
    position: 2,
    waitingSince: timestampFromMs(systemClock.now() - 65_000),
    reservedNodeId: "gpu-1",
    pending: {
      summary: "no node fits",
      heldBack: { reason: HeldBack_Reason.QUOTA, subject: "vision/gpu_milli", wanted: 2000, free: 500, total: 4000 },
    },
  });
  const why = "room is held on gpu-1; team vision is at its quota: 2 GPU wanted, 0.5 GPU left of 4 GPU";
  expect(queueTable([entry]).rows).toEqual([["2", "01A", "train", "demo", "vision", "-3", "1m5s", why]]);
});

test.each<[MessageInitShape<typeof HeldBackSchema>, string]>([
  [{ reason: HeldBack_Reason.CONCURRENCY_GROUP, subject: "gpu-tests", total: 2 }, "group gpu-tests is full: 2 at once"],
  [{ reason: HeldBack_Reason.GANG, subject: "01A/worker" }, "waits for 01A/worker"],
  [{ reason: HeldBack_Reason.RESERVATION, subject: "01B/train" }, "held for 01B/train"],
  [{ reason: HeldBack_Reason.PREEMPTING, subject: "gpu-1" }, "jobs on gpu-1 are being ended"],
  [{ reason: HeldBack_Reason.OUTBID, subject: "3" }, "3 more valuable jobs"],
  [
    { reason: HeldBack_Reason.QUOTA, subject: "vision/jobs", wanted: 1, total: 4 },
    "1 jobs wanted, 0 jobs left of 4 jobs",
  ],
])("held back: %j", (held, text) => {
  expect(heldBackText(create(HeldBackSchema, held))).toContain(text);
});

test.each<[MessageInitShape<typeof NodeRejectionSchema>, string]>([
  [{ reason: NodeRejection_Reason.NOT_READY, subject: "lost" }, "is lost"],
  [{ reason: NodeRejection_Reason.TAINTED, subject: "ml" }, "has the taint ml"],
  [{ reason: NodeRejection_Reason.SPREAD, subject: "copies" }, "has a copy already"],
  [{ reason: NodeRejection_Reason.HELD, subject: "01B/train" }, "has room that is held for 01B/train"],
  [short("cpu_milli", 1500, 250, 4000), "1.5 CPU wanted, 0.25 free of 4"],
  [short("memory_mib", 8192, 512, 65_536), "8Gi memory wanted, 512Mi free of 64Gi"],
  [short("gpu.share_milli", 500, 250, 1000), "0.5 GPU wanted, 0.25 free of 1"],
  [short("gpu.memory_mib", 40_960, 20_480, 40_960), "40Gi GPU memory wanted, 20Gi free of 40Gi"],
  [short("custom.camera", 2, 1, 1), "2 camera wanted, 1 free of 1"],
])("a node that was not chosen: %j", (rejection, text) => {
  expect(describeRejection(create(NodeRejectionSchema, rejection))).toBe(text);
});

function short(subject: string, wanted: number, free: number, total: number) {
  return { reason: NodeRejection_Reason.RESOURCE_SHORT, subject, wanted, free, total };
}

test("why a job waits: the lines once, then all nodes, best first, then what would help", () => {
  const response = create(ExplainJobResponseSchema, {
    lines: ["no node fits: 1 tainted ml", "\u001b[2Jodd"],
    explanation: {
      summary: "no node fits: 1 tainted ml",
      chosenNodeId: "d",
      score: 0.5,
      losingScores: { b: 0.1, c: 0.25 },
      rejections: [{ nodeId: "a", reason: NodeRejection_Reason.TAINTED, subject: "ml" }],
      remedies: ["a would take it if it tolerated the taint ml"],
    },
  });
  expect(jobWhyView(response)).toEqual([
    "no node fits: 1 tainted ml",
    "\ufffd[2Jodd",
    {
      columns: ["NODE", "SCORE", "WHY"],
      rows: [
        ["d", "0.5", "chosen"],
        ["c", "0.25", "fits"],
        ["b", "0.1", "fits"],
        ["a", "-", "has the taint ml"],
      ],
    },
    "What would help:",
    "- a would take it if it tolerated the taint ml",
  ]);
});

test("a rebalance shows moves and what they come to", () => {
  const moves = [{ deployment: "vad", replicaId: "vad.1.a.0", fromNodeId: "a", toNodeId: "b", reason: "empties a" }];
  const measure = { fragmentationBefore: 0.25, fragmentationAfter: 0.125, emptyNodesBefore: 0, emptyNodesAfter: 1 };
  const view = rebalanceView(create(RebalanceResponseSchema, { moves, ...measure }));
  expect(view).toEqual([
    expect.objectContaining({ rows: [["1", "vad", "vad.1.a.0", "a", "b", "empties a"]] }),
    "before: 25.0% of the free capacity is of no use to a typical demand, 0 nodes empty",
    "after:  12.5%, 1 node empty",
  ]);
  expect(rebalanceView(create(RebalanceResponseSchema, measure))[0]).toMatch(/^nothing to gain: 25\.0%/);
});

test("teams show what they hold beside their quotas", () => {
  const team = create(TeamUsageSchema, {
    team: "vision",
    share: 2,
    usedShare: 0.331,
    runningJobs: 3,
    waitingJobs: 1,
    held: { cpuMilli: 8_500n, memoryMib: 2_048n, gpuMilli: 1_500n },
    quota: { cpuMilli: 64_000n, gpuMilli: 4_000n, jobs: 10 },
  });
  expect(teamTable([team]).rows).toEqual([["vision", "2", "33%", "3/10", "1", "8.5/64", "2048", "1.5/4"]]);
});
