import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { sparkline } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import {
  type Incident,
  IncidentKind,
  type IncidentSeries,
  IncidentSeverity,
  IncidentState,
  type IncidentSubject,
} from "@kedge/proto";
import type { View } from "./output.ts";
import type { Table } from "./table.ts";
import { enumName, formatSpan, safeText } from "./text.ts";

const GRAPH_WIDTH = 60;
const METER_WIDTH = 10;

/** Incidents, one a row. */
export function incidentTable(incidents: readonly Incident[]): Table {
  return {
    columns: ["INCIDENT", "STATE", "SEVERITY", "KIND", "ABOUT", "AGE", "LIKELY CAUSE", "WHAT"],
    rows: incidents.map((incident) => [
      incident.id,
      stateText(incident),
      enumName(IncidentSeverity, incident.severity),
      enumName(IncidentKind, incident.kind),
      subjectText(incident.subject),
      age(incident.openedAt),
      causeText(incident),
      incident.summary,
    ]),
  };
}

/** One incident with its graphs, causes, and what was done. */
export function incidentView(incident: Incident): View {
  const { series, causes, actions } = incident;
  return [
    incidentTable([incident]),
    safeText(incident.reason),
    ...historyLines(incident),
    ...series.flatMap(seriesLines),
    ...(causes.length === 0 ? [] : ["", causesTable(incident)]),
    ...(actions.length === 0 ? [] : ["", actionsTable(incident)]),
  ];
}

/** One line that says what became of an incident, for watching. */
export function incidentLine(incident: Incident): string {
  const { id, severity, summary, lastSeenAt, resolvedAt } = incident;
  const at = timeText(incident.state === IncidentState.RESOLVED ? resolvedAt : lastSeenAt);
  const cause = causeText(incident);
  const because = cause === "-" ? "" : `; likely ${cause}`;
  const shape = sparkline(incident.series[0]?.points.map(({ value }) => value) ?? [], GRAPH_WIDTH / 2);
  return safeText(
    `${at} ${id} ${stateText(incident)} ${enumName(IncidentSeverity, severity)} ${shape} ${summary}${because}`,
  );
}

function stateText({ state, acknowledgedBy, repeats }: Incident): string {
  const isNoted = acknowledgedBy !== "" && state === IncidentState.OPEN;
  const marks = [isNoted ? "acknowledged" : "", repeats > 0 ? `×${repeats + 1}` : ""].filter(Boolean);
  return [enumName(IncidentState, state), ...marks].join(",");
}

function subjectText(subject: IncidentSubject | undefined): string {
  const { deployment = "", revision = 0, nodeId = "" } = subject ?? {};
  const what = revision > 0 ? `${deployment} revision ${revision}` : deployment;
  return [what, nodeId].filter(Boolean).join(" on ") || "-";
}

function causeText({ causes: [first] }: Incident): string {
  if (first === undefined) return "-";
  return first.kind === "node" ? `node ${first.name}` : first.name;
}

function historyLines(incident: Incident): string[] {
  const { beganAt, lastSeenAt, acknowledgedBy, acknowledgedAt, resolvedAt, resolution } = incident;
  return [
    `began: ${timeText(beganAt ?? incident.openedAt)}   last seen: ${timeText(lastSeenAt)}`,
    ...(acknowledgedBy === "" ? [] : [`acknowledged: ${timeText(acknowledgedAt)} by ${acknowledgedBy}`]),
    ...(resolvedAt === undefined ? [] : [`resolved: ${timeText(resolvedAt)}, ${resolution}`]),
  ].map(safeText);
}

function seriesLines({ metric, unit, points, usual }: IncidentSeries): string[] {
  const values = points.map(({ value }) => value);
  const from = points[0]?.at;
  const to = points.at(-1)?.at;
  if (from === undefined || to === undefined) return [];
  const span = formatSpan(timestampMs(to) - timestampMs(from));
  const usually = usual === undefined ? "" : `, usually ${figure(usual, unit)}`;
  const range = `${figure(Math.min(...values), unit)} to ${figure(Math.max(...values), unit)}`;
  const now = `${figure(values.at(-1) ?? 0, unit)} at the end`;
  return ["", safeText(`${metric}: ${range}, ${now}${usually}; ${span}`), `  ${sparkline(values, GRAPH_WIDTH)}`];
}

function causesTable({ causes }: Incident): Table {
  const rows = causes.map(({ kind, name, score, reason }) => [meter(score), kind, name, reason]);
  return { columns: ["SUSPICION", "KIND", "LIKELY CAUSE", "WHY"], rows };
}

function actionsTable({ actions }: Incident): Table {
  return { columns: ["WHEN", "WHAT KEDGE DID"], rows: actions.map(({ at, what }) => [timeText(at), what]) };
}

function meter(score: number): string {
  const share = Math.max(0, Math.min(1, score));
  return `${"█".repeat(Math.round(share * METER_WIDTH)).padEnd(METER_WIDTH, "·")} ${String(Math.round(100 * share)).padStart(3)} %`;
}

function figure(value: number, unit: string): string {
  const text = String(Number(value.toPrecision(3)));
  return unit === "" || unit.startsWith("/") ? `${text}${unit}` : `${text} ${unit}`;
}

const age = (at: Timestamp | undefined): string =>
  at === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(at));

const timeText = (at: Timestamp | undefined): string =>
  at === undefined ? "-" : new Date(timestampMs(at)).toISOString();
