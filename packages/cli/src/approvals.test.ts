import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { PendingApprovalSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { approvalTable, approvalView } from "./output/approval-views.ts";

const approval = create(PendingApprovalSchema, {
  runId: "01run",
  pipeline: "vad",
  job: "ship",
  message: "Ship it?",
  source: {
    repository: "https://git.example/vad",
    commit: "a".repeat(40),
    ref: "main",
    message: "fix\n\nmore",
    sender: "eve",
  },
  submittedBy: "ci",
  expiresAt: timestampFromMs(systemClock.now() + 3_600_500),
  required: 2,
  decisions: [{ by: "ann", approved: true, comment: "fine" }],
  approvers: ["team:release"],
  gates: [{ passed: true, message: "accuracy 0.95 is at least 0.9" }],
  deployments: [
    {
      job: "go",
      deployment: "vad",
      currentRevision: 3,
      current: "silero:7",
      currentCommit: "b".repeat(40),
      wanted: "silero:8",
    },
    { job: "new", deployment: "kws", wanted: "kws:1" },
  ],
});

test("a decision is shown with what hangs on it", () => {
  expect(approvalView(approval)).toEqual([
    "ship of run 01run of vad: Ship it?",
    `  commit ${"a".repeat(40)} (main) of https://git.example/vad`,
    "  fix",
    "  by ci (eve); 1 of 2 approved; left: 1h",
    "  for team:release",
    "  approved by ann: fine",
    "  gate: accuracy 0.95 is at least 0.9",
    "  deployment vad: revision 3 has silero:7 of commit bbbbbbbbbbbb; then silero:8",
    "  deployment kws: new, with kws:1",
  ]);
  expect(approvalTable([approval]).rows[0]).toEqual([
    ...["01run", "ship", "vad", "aaaaaaaaaaaa", "ci (eve)", "1/2"],
    ...["1h", "Ship it?"],
  ]);
});

test("what a commit says cannot move the cursor or add lines", () => {
  const hostile = create(PendingApprovalSchema, {
    runId: "01run",
    pipeline: "vad",
    message: "ok?\u001b[2K\r",
    source: { commit: "c".repeat(40), message: "\u001b]0;x\u0007approved by admin\nsecond" },
  });
  const lines = approvalView(hostile).map(String);
  expect(lines.every((line) => ![...line].some((character) => character < " "))).toBe(true);
  expect(lines.join("\n")).not.toContain("second");
});
