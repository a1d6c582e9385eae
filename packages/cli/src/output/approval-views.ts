import { timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import type { DeploymentChange, PendingApproval } from "@kedge/proto";
import type { View } from "./output.ts";
import type { Table } from "./table.ts";
import { formatSpan, safeText } from "./text.ts";

/** What waits for people, one a row. */
export function approvalTable(approvals: readonly PendingApproval[]): Table {
  return {
    columns: ["RUN", "JOB", "PIPELINE", "COMMIT", "BY", "WORDS", "LEFT", "ABOUT"],
    rows: approvals.map((approval) => [
      approval.runId,
      approval.job || "(the run)",
      approval.pipeline,
      approval.source?.commit.slice(0, 12) || "-",
      submitter(approval),
      `${approval.decisions.length}/${approval.required}`,
      left(approval),
      approval.obstacle === "" ? approval.message : `${approval.message} (not yours: ${approval.obstacle})`,
    ]),
  };
}

/** All that is known of one decision, a line each. */
export function approvalView(approval: PendingApproval): View {
  const { runId, job, pipeline, message, source, required, approvers, decisions, gates, deployments } = approval;
  const what = job === "" ? `run ${runId} of ${pipeline}` : `${job} of run ${runId} of ${pipeline}`;
  const { commit = "", ref = "", message: words = "", repository = "", fork = false } = source ?? {};
  const subject = words.split("\n", 1)[0] ?? "";
  const lines = [
    `${what}: ${message || "go on?"}`,
    commit === ""
      ? ""
      : `  commit ${commit}${ref === "" ? "" : ` (${ref})`} of ${repository}${fork ? ", from a fork" : ""}`,
    subject === "" ? "" : `  ${subject}`,
    `  by ${submitter(approval)}; ${decisions.length} of ${required} approved; left: ${left(approval)}`,
    approvers.length === 0 ? "" : `  for ${approvers.join(", ")}`,
    ...decisions.map(({ by, comment }) => `  approved by ${by}${comment === "" ? "" : `: ${comment}`}`),
    ...gates.map((gate) => `  gate: ${gate.message}`),
    ...deployments.map((change) => `  ${changeLine(change)}`),
    approval.obstacle === "" ? "" : `  not yours to decide: ${approval.obstacle}`,
  ];
  return lines.filter((line) => line !== "").map(safeText);
}

function changeLine({ deployment, currentRevision, current, currentCommit, wanted }: DeploymentChange): string {
  if (currentRevision === 0) return `deployment ${deployment}: new, with ${wanted}`;
  const from = currentCommit === "" ? current : `${current} of commit ${currentCommit.slice(0, 12)}`;
  return `deployment ${deployment}: revision ${currentRevision} has ${from}; then ${wanted}`;
}

function submitter({ submittedBy, source }: PendingApproval): string {
  const sender = source?.sender ?? "";
  return sender === "" || submittedBy.endsWith(sender) ? submittedBy : `${submittedBy} (${sender})`;
}

function left({ expiresAt }: PendingApproval): string {
  return expiresAt === undefined ? "-" : formatSpan(Math.max(0, timestampMs(expiresAt) - systemClock.now()));
}
