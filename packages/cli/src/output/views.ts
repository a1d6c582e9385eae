import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  type Deployment,
  type Event,
  type Job,
  JobState,
  type Model,
  type ModelVersion,
  type Node,
  NodeState,
  type Pipeline,
  QuarantineState,
  ReplicaState,
  Role,
  type Run,
  RunState,
  type Token,
} from "@kedge/proto";
import { healthView, movesView, replicaNote } from "./health-view.ts";
import type { View } from "./output.ts";
import { rolloutView, rolloutWord } from "./rollout-views.ts";
import type { Table } from "./table.ts";
import { enumName, formatBytes, formatPairs, formatSpan, safeText } from "./text.ts";

const age = (at: Timestamp | undefined): string =>
  at === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(at));

const took = (from: Timestamp | undefined, to: Timestamp | undefined): string =>
  from === undefined ? "-" : formatSpan((to === undefined ? systemClock.now() : timestampMs(to)) - timestampMs(from));

/** Nodes, one a row. */
export function nodeTable(nodes: readonly Node[]): Table {
  return {
    columns: ["NODE", "STATE", "CPU", "MEMORY", "GPUS", "TASKS", "REPLICAS", "LABELS", "SEEN"],
    rows: nodes.map((node) => [
      node.id,
      nodeState(node),
      `${((node.reserved?.cpuMilli ?? 0) / 1_000).toFixed(1)}/${((node.capacity?.cpuMilli ?? 0) / 1_000).toFixed(1)}`,
      `${node.reserved?.memoryMib ?? 0}/${node.capacity?.memoryMib ?? 0} MiB`,
      String(node.capacity?.gpus.length ?? 0),
      String(node.runningTasks.length),
      String(node.replicas.length),
      formatPairs(node.labels),
      age(node.lastHeartbeatAt),
    ]),
  };
}

const QUARANTINES: Readonly<Record<QuarantineState, string>> = {
  [QuarantineState.UNSPECIFIED]: "",
  [QuarantineState.ACTIVE]: "quarantined",
  [QuarantineState.PROBATION]: "probation",
};

function nodeState(node: Node): string {
  const quarantine = node.quarantine === undefined ? "" : QUARANTINES[node.quarantine.state];
  const marks = [node.draining ? "draining" : "", node.cordoned && !node.draining ? "cordoned" : "", quarantine];
  return [enumName(NodeState, node.state), ...marks.filter(Boolean)].join(",");
}

/** One node with its replicas. */
export function nodeView(node: Node): View {
  const replicas = node.replicas.map((replica) => [
    replica.replicaId,
    enumName(ReplicaState, replica.state),
    String(replica.restarts),
    replicaNote(replica),
  ]);
  return [
    nodeTable([node]),
    `taints: ${safeText(node.taints.join(", ") || "-")}   gateway: ${safeText(node.gatewayAddress || "-")}   agent: ${safeText(node.agentVersion || "-")}`,
    ...healthView(node),
    ...(replicas.length === 0 ? [] : [{ columns: ["REPLICA", "STATE", "RESTARTS", "MESSAGE"], rows: replicas }]),
  ];
}

/** Runs, one a row. */
export function runTable(runs: readonly Run[]): Table {
  return {
    columns: ["RUN", "PIPELINE", "STATE", "JOBS", "COMMIT", "BY", "AGE", "TOOK"],
    rows: runs.map((run) => [
      run.id,
      run.pipeline,
      enumName(RunState, run.state),
      `${run.jobs.filter((job) => job.state === JobState.SUCCEEDED).length}/${run.jobs.length}`,
      run.source?.commit.slice(0, 12) || "-",
      run.submittedBy,
      age(run.createdAt),
      took(run.startedAt, run.finishedAt),
    ]),
  };
}

/** One run with its jobs. */
export function runView(run: Run): View {
  const reason = run.reason === "" ? [] : [safeText(run.reason)];
  return [
    runTable([run]),
    ...reason,
    { columns: ["JOB", "STATE", "NODE", "TRY", "TOOK", "WHY"], rows: run.jobs.map(jobRow) },
    ...run.jobs.flatMap(gateLines),
  ];
}

/** Each rule of a job's gate: what it saw, or what it would hold a value against now. */
function gateLines({ spec, gateResults }: Job): string[] {
  return gateResults.map(({ message, passed, pending }) => {
    const mark = pending ? "later" : passed ? "passed" : "failed";
    return safeText(`gate ${spec?.name}: ${mark}: ${message}`);
  });
}

function jobRow(job: Job): string[] {
  const task = job.tasks.at(-1);
  return [
    job.spec?.name ?? "?",
    enumName(JobState, job.state),
    task?.nodeId ?? "-",
    String(task?.fence ?? "-"),
    took(job.startedAt, job.finishedAt),
    whyOf(job),
  ];
}

function whyOf(job: Job): string {
  const why = job.failure?.message || job.reason || job.pending?.summary || "";
  const isAllowed = job.state === JobState.FAILED && job.spec?.allowFailure === true;
  const notes = [isAllowed ? "allowed" : "", job.reusedFrom === "" ? "" : `from run ${job.reusedFrom}`];
  return [why, ...notes.filter((note) => note !== "").map((note) => `(${note})`)]
    .filter((text) => text !== "")
    .join(" ");
}

/** One line that says where a run is, for watching. */
export function runLine(run: Run): string {
  const jobs = run.jobs.map((job) => `${job.spec?.name ?? "?"} ${enumName(JobState, job.state)}`).join(", ");
  return `run ${run.id} ${enumName(RunState, run.state)}: ${jobs}`;
}

/** Deployments, one a row. */
export function deploymentTable(deployments: readonly Deployment[]): Table {
  return {
    columns: ["DEPLOYMENT", "STABLE", "ROLLOUT", "TRAFFIC", "READY", "AGE"],
    rows: deployments.map((deployment) => [
      deployment.name,
      deployment.stableRevision === 0 ? "-" : String(deployment.stableRevision),
      deployment.rollout === undefined ? "-" : rolloutWord(deployment.rollout),
      deployment.route?.splits.map((split) => `${split.revision}:${split.basisPoints / 100}%`).join(" ") || "-",
      `${deployment.replicas.filter((replica) => replica.state === ReplicaState.READY).length}/${deployment.replicas.length}`,
      age(deployment.createdAt),
    ]),
  };
}

/** One deployment with its replicas and the way its rollout went. */
export function deploymentView(deployment: Deployment): View {
  const replicas = deployment.replicas.map((replica) => [
    replica.replicaId,
    String(replica.revision),
    enumName(ReplicaState, replica.state),
    String(replica.restarts),
    replicaNote(replica),
  ]);
  const pending = deployment.pending?.summary ? [`pending: ${safeText(deployment.pending.summary)}`] : [];
  return [
    deploymentTable([deployment]),
    ...pending,
    ...movesView(deployment),
    ...(replicas.length === 0
      ? []
      : [{ columns: ["REPLICA", "REVISION", "STATE", "RESTARTS", "MESSAGE"], rows: replicas }]),
    ...rolloutView(deployment),
  ];
}

/** Models, one a row. */
export function modelTable(models: readonly Model[]): Table {
  return {
    columns: ["MODEL", "LATEST", "TAGS", "AGE"],
    rows: models.map((model) => [
      model.name,
      String(model.latestVersion),
      formatPairs(model.tags),
      age(model.createdAt),
    ]),
  };
}

/** Versions of a model, one a row. */
export function versionTable(versions: readonly ModelVersion[]): Table {
  return {
    columns: ["MODEL", "VERSION", "DIGEST", "SIZE", "METRICS", "RUN", "BY", "AGE"],
    rows: versions.map((version) => [
      version.model,
      String(version.version),
      version.digest.slice(0, 12),
      formatBytes(Number(version.sizeBytes)),
      formatPairs(version.metrics),
      version.lineage?.runId || "-",
      version.createdBy,
      age(version.createdAt),
    ]),
  };
}

/** Pipelines, one a row. */
export function pipelineTable(pipelines: readonly Pipeline[]): Table {
  return {
    columns: ["PIPELINE", "GENERATION", "BY", "UPDATED"],
    rows: pipelines.map((p) => [p.name, String(p.generation), p.updatedBy, age(p.updatedAt)]),
  };
}

/** Tokens, one a row. */
export function tokenTable(tokens: readonly Token[]): Table {
  return {
    columns: ["TOKEN", "NAME", "ROLE", "TEAM", "USES LEFT", "AGE", "EXPIRES IN"],
    rows: tokens.map((token) => [
      token.id,
      token.name || "-",
      token.join ? "join" : enumName(Role, token.role),
      token.join ? "-" : token.team || "default",
      token.join ? String(token.usesLeft) : "-",
      age(token.createdAt),
      token.expiresAt === undefined ? "never" : formatSpan(timestampMs(token.expiresAt) - systemClock.now()),
    ]),
  };
}

/** An event on one line. */
export function eventLine(event: Event): string {
  const at = event.at === undefined ? "-" : new Date(timestampMs(event.at)).toISOString();
  return safeText(`${at} ${event.kind}/${event.name} ${event.reason}: ${event.message}`);
}
