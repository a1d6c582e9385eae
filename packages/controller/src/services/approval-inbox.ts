import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError } from "@kedge/domain";
import { resolveJob } from "@kedge/pipeline";
import {
  type DeploymentChange,
  DeploymentChangeSchema,
  type DeploymentSpec,
  type Job,
  JobState,
  type ListApprovalsRequest,
  type PendingApproval,
  PendingApprovalSchema,
  type ReplicaTemplate,
  Role,
  type Run,
  RunState,
} from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import { approvalDeadline, decisionObstacle } from "../runs/approvals.ts";
import { type JobsByName, neededJobs } from "../runs/needs.ts";
import { resolveContext } from "../runs/resolve-context.ts";
import type { Stores } from "../stores.ts";
import { pageOf } from "./paging.ts";

type InboxStores = Pick<Stores, "runs" | "deployments">;

/** What waits for people's words, and what each is about. Without `all`, only what the caller may decide on. */
export function listApprovals(stores: InboxStores, request: ListApprovalsRequest, principal: Principal) {
  const runs = [...stores.runs.entries()].map(([, { value }]) => value);
  const wanted = runs
    .filter((run) => request.runId === "" || run.id.startsWith(request.runId))
    .flatMap((run) => approvalsOf(stores, run, principal))
    .filter(({ job, obstacle }) => (request.job === "" || job === request.job) && (request.all || obstacle === ""));
  const bytesOf = (approval: PendingApproval): number => toBinary(PendingApprovalSchema, approval).length;
  const page = pageOf(
    wanted.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
    keyOf,
    { ...request, bytesOf },
  );
  return { approvals: page.items, nextPageToken: page.nextPageToken };
}

function approvalsOf(stores: InboxStores, run: Run, principal: Principal): PendingApproval[] {
  if (run.cancelRequested) return [];
  if (run.state === RunState.BLOCKED) return [runApproval(run, principal)];
  const jobs = new Map(run.jobs.map((job) => [job.spec?.name ?? "", job]));
  return run.jobs
    .filter(({ state }) => state === JobState.BLOCKED)
    .map((job) => jobApproval(stores, { run, job, jobs }, principal));
}

function common({ id: runId, pipeline, submittedBy, source }: Run) {
  return { runId, pipeline, submittedBy, ...(source === undefined ? {} : { source: { ...source, changed: [] } }) };
}

function runApproval(run: Run, principal: Principal): PendingApproval {
  const since = run.createdAt;
  return create(PendingApprovalSchema, {
    ...common(run),
    message: "may it begin?",
    required: 1,
    approvers: ["role:operator"],
    obstacle: lacksRole(principal) ? "it is for operators and admins" : "",
    ...(since === undefined ? {} : { since }),
  });
}

interface Waiting {
  readonly run: Run;
  readonly job: Job;
  readonly jobs: JobsByName;
}

function jobApproval(stores: InboxStores, waiting: Waiting, principal: Principal): PendingApproval {
  const { run, job, jobs } = waiting;
  const approval = job.spec?.work.case === "approval" ? job.spec.work.value : undefined;
  const deadline = approvalDeadline(job);
  const decided = job.decisions.some(({ by }) => by === principal.name) ? "you have approved it already" : undefined;
  const own = decisionObstacle(run, job, { principal, approved: true }) ?? decided ?? "";
  return create(PendingApprovalSchema, {
    ...common(run),
    job: job.spec?.name ?? "",
    message: approval?.message ?? "",
    required: approval?.required || 1,
    approvers: approval?.approvers ?? [],
    decisions: job.decisions,
    gates: before(job, jobs).flatMap(({ gateResults }) => gateResults),
    deployments: deploymentChanges(stores, waiting),
    obstacle: lacksRole(principal) ? "it is for operators and admins" : own,
    ...(job.readyAt === undefined ? {} : { since: job.readyAt }),
    ...(deadline === undefined ? {} : { expiresAt: timestampFromMs(deadline.atMs) }),
  });
}

/** A decision is a change, which takes this role whoever the file names. */
function lacksRole({ role }: Principal): boolean {
  return role !== Role.OPERATOR && role !== Role.ADMIN;
}

/** All jobs that a job comes after. */
function before(job: Job, jobs: JobsByName): Job[] {
  const found = new Set<Job>();
  const open = neededJobs(job, jobs);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    open.push(...neededJobs(next, jobs));
  }
  return [...found];
}

function deploymentChanges({ deployments }: InboxStores, { run, job, jobs }: Waiting): DeploymentChange[] {
  return run.jobs.flatMap((later): DeploymentChange[] => {
    if (later.spec?.work.case !== "deploy" || !before(later, jobs).includes(job)) return [];
    const wanted = wantedDeployment(run, later);
    const name = wanted?.name ?? "";
    const current = deployments.get(name)?.value;
    const stable = current?.revisions.find(({ number }) => number === current.stableRevision);
    return [
      create(DeploymentChangeSchema, {
        job: later.spec.name,
        deployment: name,
        currentRevision: current?.stableRevision ?? 0,
        current: contentOf(stable?.template),
        currentCommit: stable?.commit ?? "",
        wanted: contentOf(wanted?.template),
      }),
    ];
  });
}

/** What a deploy job asks for; with its expressions where their values are not there yet. */
function wantedDeployment(run: Run, { spec }: Job): DeploymentSpec | undefined {
  const deploymentOf = (from: typeof spec) => (from?.work.case === "deploy" ? from.work.value.deployment : undefined);
  if (spec === undefined) return undefined;
  try {
    return deploymentOf(resolveJob(spec, resolveContext(run)));
  } catch (error) {
    if (!isKedgeError(error, "INVALID_PIPELINE")) throw error;
    return deploymentOf(spec);
  }
}

function contentOf(template: ReplicaTemplate | undefined): string {
  const { source } = template ?? {};
  if (source?.case === "model") return `${source.value.model}:${source.value.version}`;
  return source?.case === "image" ? source.value : "";
}

/** Sorts by when they time out, those that never do last. */
function keyOf({ expiresAt, runId, job }: PendingApproval): string {
  const atMs = expiresAt === undefined ? Number.MAX_SAFE_INTEGER : timestampMs(expiresAt);
  return `${String(atMs).padStart(16, "0")}/${runId}/${job}`;
}
