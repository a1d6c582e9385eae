import { timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  type ExplainJobResponse,
  type HeldBack,
  HeldBack_Reason,
  type PlacementExplanation,
  type PlanDemandResponse,
  type PlanPipelineResponse,
  type QueueEntry,
  type RebalanceResponse,
  type TeamQuota,
  type TeamUsage,
} from "@kedge/proto";
import type { View } from "./output.ts";
import { describeAmount, describeRejection } from "./rejection-text.ts";
import type { Table } from "./table.ts";
import { formatSpan, safeText } from "./text.ts";

/** Jobs that wait, one a row, first the one that gets room first. */
export function queueTable(entries: readonly QueueEntry[]): Table {
  return {
    columns: ["#", "RUN", "JOB", "PIPELINE", "TEAM", "PRIORITY", "WAITING", "WHY"],
    rows: entries.map((entry) => [
      String(entry.position),
      entry.runId,
      entry.job,
      entry.pipeline,
      entry.team,
      String(entry.priority),
      entry.waitingSince === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(entry.waitingSince)),
      [reservedText(entry), entry.pending === undefined ? "" : whyWaiting(entry.pending)].filter(Boolean).join("; "),
    ]),
  };
}

/** Teams, one a row; what is held and, where there is one, the quota. */
export function teamTable(teams: readonly TeamUsage[]): Table {
  const of = (team: TeamUsage, dimension: "cpuMilli" | "memoryMib" | "gpuMilli", unit = 1): string =>
    withQuota(Number(team.held?.[dimension] ?? 0n) / unit, Number(team.quota?.[dimension] ?? 0n) / unit);
  return {
    columns: ["TEAM", "SHARE", "USED", "RUNNING", "WAITING", "CPU", "MEMORY MIB", "GPUS"],
    rows: teams.map((team) => [
      team.team,
      String(team.share),
      `${(team.usedShare * 100).toFixed(0)}%`,
      withQuota(team.runningJobs, jobQuota(team.quota)),
      String(team.waitingJobs),
      of(team, "cpuMilli", 1000),
      of(team, "memoryMib"),
      of(team, "gpuMilli", 1000),
    ]),
  };
}

/** Why a job is where it is: what the controller says, each node's part in it, and what would change it. */
export function jobWhyView({ lines, explanation }: ExplainJobResponse): View {
  const isSaid = (text: string): boolean => lines.some((line) => line.includes(text));
  if (explanation === undefined) return lines.map(safeText);
  const { heldBack, ...rest } = explanation;
  const unsaid = {
    ...rest,
    summary: isSaid(rest.summary) ? "" : rest.summary,
    remedies: rest.remedies.filter((remedy) => !isSaid(remedy)),
    ...(heldBack === undefined || isSaid(heldBackText(heldBack)) ? {} : { heldBack }),
  };
  return [...lines.map(safeText), ...explanationView(unsaid)];
}

/** A decision with each node's part in it, and what would change it. */
export function explanationView(explanation: PlacementExplanation): View {
  const { heldBack, remedies } = explanation;
  const nodes = nodesTable(explanation);
  return [
    ...(explanation.summary === "" ? [] : [safeText(explanation.summary)]),
    ...(heldBack === undefined ? [] : [safeText(heldBackText(heldBack))]),
    ...(nodes.rows.length === 0 ? [] : [nodes]),
    ...(remedies.length === 0 ? [] : ["What would help:", ...remedies.map((remedy) => safeText(`- ${remedy}`))]),
  ];
}

/** Where copies would go, and why one goes nowhere. */
export function planView({ placements }: PlanDemandResponse): View {
  const rows = placements.map((placement, i) => [
    String(i + 1),
    placement.chosenNodeId || "-",
    placement.chosenNodeId === "" ? "-" : scoreText(placement.score),
    placement.summary,
  ]);
  const last = placements.at(-1);
  const failed = last === undefined || last.chosenNodeId !== "" ? [] : explanationView(last).slice(1);
  const single = placements.length === 1 && last !== undefined && failed.length === 0 ? [nodesTable(last)] : [];
  return [{ columns: ["COPY", "NODE", "SCORE", "WHY"], rows }, ...failed, ...single.filter((it) => it.rows.length > 1)];
}

/** Where the jobs of a pipeline would go. */
export function pipelinePlanView({ spec, placements, gates }: PlanPipelineResponse): View {
  const rows = (spec?.jobs ?? []).map((job) => {
    const placement = placements[job.name];
    return [
      job.name,
      job.needs.join(",") || "-",
      job.work.case ?? "-",
      placement?.chosenNodeId || "-",
      placement?.summary ?? "",
    ];
  });
  const rules = Object.entries(gates).flatMap(([job, gate]) =>
    gate.rules.map(({ message }) => safeText(`gate ${job}: ${message}`)),
  );
  return [{ columns: ["JOB", "NEEDS", "KIND", "NODE", "WHY"], rows }, ...rules];
}

/** Moves and what they come to. */
export function rebalanceView(response: RebalanceResponse): View {
  const { moves, fragmentationBefore, fragmentationAfter, emptyNodesBefore, emptyNodesAfter } = response;
  const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
  const now = `${percent(fragmentationBefore)} of the free capacity is of no use to a typical demand, ${nodes(emptyNodesBefore)} empty`;
  if (moves.length === 0) return [`nothing to gain: ${now}`];
  return [
    {
      columns: ["#", "DEPLOYMENT", "REPLICA", "FROM", "TO", "WHY"],
      rows: moves.map((move, i) => [
        String(i + 1),
        move.deployment,
        move.replicaId,
        move.fromNodeId,
        move.toNodeId,
        move.reason,
      ]),
    },
    `before: ${now}`,
    `after:  ${percent(fragmentationAfter)}, ${nodes(emptyNodesAfter)} empty`,
  ];
}

/** What keeps a demand waiting besides room, in words. */
export function heldBackText({ reason, subject, wanted, free, total }: HeldBack): string {
  switch (reason) {
    case HeldBack_Reason.QUOTA: {
      const [team, dimension = ""] = subject.split("/");
      const amount = (n: number): string => describeAmount(dimension, n);
      return `team ${team} is at its quota: ${amount(wanted)} wanted, ${amount(free)} left of ${amount(total)}`;
    }
    case HeldBack_Reason.CONCURRENCY_GROUP:
      return `concurrency group ${subject} is full${total > 0 ? `: ${total} at once` : ""}`;
    case HeldBack_Reason.GANG:
      return `waits for ${subject}, which must start at the same time`;
    case HeldBack_Reason.RESERVATION:
      return `the room is held for ${subject}, which waits longer`;
    case HeldBack_Reason.PREEMPTING:
      return `jobs on ${subject} are being ended to make room`;
    case HeldBack_Reason.OUTBID:
      return `${subject} more valuable ${subject === "1" ? "job" : "jobs"} took the room`;
    case HeldBack_Reason.UNSPECIFIED:
      return "held back";
    default:
      return reason satisfies never;
  }
}

function whyWaiting({ heldBack, summary }: PlacementExplanation): string {
  return heldBack === undefined ? summary : heldBackText(heldBack);
}

function reservedText({ reservedNodeId, reservedAt }: QueueEntry): string {
  if (reservedNodeId === "") return "";
  const left =
    reservedAt === undefined ? "" : `, free within ${formatSpan(timestampMs(reservedAt) - systemClock.now())}`;
  return `room is held on ${reservedNodeId}${left}`;
}

function nodesTable(explanation: PlacementExplanation): Table {
  const { chosenNodeId, score, losingScores, rejections } = explanation;
  const losers = Object.entries(losingScores).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return {
    columns: ["NODE", "SCORE", "WHY"],
    rows: [
      ...(chosenNodeId === "" ? [] : [[chosenNodeId, scoreText(score), "chosen"]]),
      ...losers.map(([nodeId, lost]) => [nodeId, scoreText(lost), "fits"]),
      ...rejections.map((rejection) => [rejection.nodeId, "-", describeRejection(rejection)]),
    ],
  };
}

/** Scores of nodes alike differ little: three digits, wherever they are. */
const scoreText = (score: number): string => String(Number(score.toPrecision(3)));

const withQuota = (held: number, quota: number): string => (quota > 0 ? `${held}/${quota}` : String(held));

const jobQuota = (quota: TeamQuota | undefined): number => quota?.jobs ?? 0;

const nodes = (count: number): string => `${count} ${count === 1 ? "node" : "nodes"}`;
