import { timestampMs } from "@bufbuild/protobuf/wkt";
import { sparkline } from "@kedge/domain";
import { AlertNotice, type Incident, IncidentKind, type IncidentSeries, IncidentSeverity } from "@kedge/proto";
import { plainText } from "./plain-text.ts";

/** Longest texts in alerts, in characters. */
export const MAX_SENTENCE = 500;
const MAX_NAME = 80;
const MAX_BARS = 32;

/** What an incident is about, e.g. "deployment vad, revision 4, node edge-1". */
export function subjectWords({ subject }: Incident): string {
  const { deployment = "", revision = 0, nodeId = "", replicaId = "" } = subject ?? {};
  const parts = [
    deployment && `deployment ${deployment}`,
    revision > 0 && `revision ${revision}`,
    nodeId && `node ${nodeId}`,
    replicaId && `replica ${replicaId}`,
  ];
  return parts.flatMap((part) => (part ? [plainText(part, MAX_NAME)] : [])).join(", ");
}

/** What alerts about the same thing have in common. */
export function subjectKey({ subject, kind }: Incident): string {
  if (subject?.deployment) return `deployment ${subject.deployment}`;
  return subject?.nodeId ? `node ${subject.nodeId}` : `kind ${kind}`;
}

/** The likely causes, likeliest first, a sentence each. */
export function causeWords({ causes }: Incident): string[] {
  return causes.map(({ kind, name, reason }) => {
    const what = plainText(`${kind} ${name}`, MAX_NAME);
    return reason === "" ? what : `${what}: ${plainText(reason, MAX_SENTENCE)}`;
  });
}

/** What was done about it, oldest first. */
export function actionWords({ actions }: Incident): string[] {
  return actions.map(({ what }) => plainText(what, MAX_SENTENCE));
}

/** A series in one line: what, from where to where, and its shape. */
export function seriesWords({ metric, unit, points, usual }: IncidentSeries): string {
  const values = points.map(({ value }) => value);
  const last = values.at(-1);
  const shown = (value: number): string => `${numberWords(value)} ${unit}`.trim();
  const usually = usual === undefined ? "" : `, usually ${shown(usual)}`;
  const now = last === undefined ? "" : ` ${shown(last)}${usually}`;
  return plainText(`${metric} ${sparkline(values, MAX_BARS)}${now}`, MAX_SENTENCE);
}

/** A number with three significant digits: "0.0312", "4200". */
export function numberWords(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "?";
}

/** A severity as labels carry it. */
export function severityWord(severity: IncidentSeverity): string {
  return (IncidentSeverity[severity] ?? "UNSPECIFIED").toLowerCase();
}

/** A kind as labels carry it, e.g. "burn_rate". */
export function kindWord(kind: IncidentKind): string {
  return (IncidentKind[kind] ?? "UNSPECIFIED").toLowerCase();
}

/** A notice as machines read it. */
export function noticeWord(notice: AlertNotice): string {
  return (AlertNotice[notice] ?? "UNSPECIFIED").toLowerCase();
}

/** How long it lasted, in words; undefined while it is open. */
export function lastedWords({ openedAt, resolvedAt }: Incident): string | undefined {
  if (openedAt === undefined || resolvedAt === undefined) return undefined;
  const minutes = Math.round((timestampMs(resolvedAt) - timestampMs(openedAt)) / 60_000);
  if (minutes < 1) return "less than a minute";
  return minutes < 120 ? `${minutes} min` : `${numberWords(minutes / 60)} h`;
}
