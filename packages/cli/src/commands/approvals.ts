import { create } from "@bufbuild/protobuf";
import { collect } from "@kedge/client";
import {
  ApproveJobResponseSchema,
  ApproveRunResponseSchema,
  ListApprovalsResponseSchema,
  type PendingApproval,
  RejectJobResponseSchema,
  RejectRunResponseSchema,
  type Run,
} from "@kedge/proto";
import type { Command } from "commander";
import { argument, positiveInteger } from "../options.ts";
import { approvalTable, approvalView } from "../output/approval-views.ts";
import type { View } from "../output/output.ts";
import { runView } from "../output/views.ts";
import { addRemote, type CommandGroup, type Host, type Session } from "../session.ts";

const PAGE_SIZE = 100;
const DEFAULT_LIMIT = 50;

/** `kedge approvals` */
export const approvalsCommand: CommandGroup = (program, host) => {
  addRemote<{ all?: boolean; limit?: number }>(program, host, {
    usage: "approvals [run]",
    description: "what waits for your word: jobs that ask, and runs from outside; with a run, all that is known of it",
    options: (command) =>
      command
        .option("--all", "also what waits for others")
        .option("--limit <count>", `most approvals; default ${DEFAULT_LIMIT}`, positiveInteger),
    examples: ["kedge approvals", "kedge approvals 01JD… --all", "kedge approvals --json | jq '.approvals[].runId'"],
    run: async ({ client, output }, [runId = ""], { all = false, limit = DEFAULT_LIMIT }) => {
      const pageSize = Math.min(limit, PAGE_SIZE);
      const list = (pageToken: string) => client.runs.listApprovals({ runId, all, pageSize, pageToken });
      const approvals = await collect(list, (page) => page.approvals, limit);
      output.show(ListApprovalsResponseSchema, create(ListApprovalsResponseSchema, { approvals }), () => {
        if (approvals.length === 0) return [all ? "nothing waits for anybody" : "nothing waits for you"];
        return runId === "" ? [approvalTable(approvals)] : approvals.flatMap(approvalView);
      });
    },
  });
};

interface DecisionOptions {
  readonly comment?: string;
  readonly commit?: string;
}

const shown = ({ run }: { readonly run?: Run | undefined }): View => (run === undefined ? [] : runView(run));

/** `kedge run approve` and `kedge run reject`. They say what is decided about, and decide about just that commit. */
export function addDecisions(parent: Command, host: Host): void {
  const options = (command: Command): Command =>
    command
      .option("--comment <text>", "why; kept on record")
      .option("--commit <id>", "refuse unless the run is of this commit; default: the one that is shown");
  addRemote<DecisionOptions>(parent, host, {
    usage: "approve <run> [job]",
    description: "let a job that waits for a person go on; without a job, let a run from outside begin",
    options,
    examples: ["kedge run approve 01JD… ship --comment 'canary looks fine'", "kedge run approve 01JD…"],
    run: async (session, args, given) => {
      const { runs } = session.client;
      const request = await decisionOf(session, args, given);
      if (request.job === "") session.output.show(ApproveRunResponseSchema, await runs.approveRun(request), shown);
      else session.output.show(ApproveJobResponseSchema, await runs.approveJob(request), shown);
    },
  });
  addRemote<DecisionOptions>(parent, host, {
    usage: "reject <run> [job]",
    description: "end a job that waits for a person; without a job, a run from outside before it begins",
    options,
    examples: ["kedge run reject 01JD… ship --comment 'error rate is up'"],
    run: async (session, args, given) => {
      const { runs } = session.client;
      const request = await decisionOf(session, args, given);
      if (request.job === "") session.output.show(RejectRunResponseSchema, await runs.rejectRun(request), shown);
      else session.output.show(RejectJobResponseSchema, await runs.rejectJob(request), shown);
    },
  });
}

async function decisionOf({ client, output }: Session, args: readonly string[], given: DecisionOptions) {
  const runId = argument(args, 0);
  const job = args[1] ?? "";
  const found = await pendingApproval(client, runId, job);
  if (found !== undefined && !output.json)
    for (const line of approvalView(found)) if (typeof line === "string") output.progress(line);
  const commit = given.commit ?? found?.source?.commit ?? "";
  return { runId, job, comment: given.comment ?? "", commit };
}

async function pendingApproval(
  client: Session["client"],
  runId: string,
  job: string,
): Promise<PendingApproval | undefined> {
  const { approvals } = await client.runs.listApprovals({ runId, all: true, pageSize: PAGE_SIZE });
  return approvals.find((approval) => approval.job === job);
}
