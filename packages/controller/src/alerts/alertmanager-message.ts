import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Incident, IncidentKind, IncidentState } from "@kedge/proto";
import { actionWords, causeWords, kindWord, MAX_SENTENCE, seriesWords, severityWord } from "./incident-words.ts";
import { REFRESH_MS } from "./next-notice.ts";
import type { Notice } from "./notice.ts";
import { plainText } from "./plain-text.ts";
import type { Message } from "./webhook-message.ts";

const NAMES: Readonly<Record<IncidentKind, string>> = {
  [IncidentKind.UNSPECIFIED]: "KedgeIncident",
  [IncidentKind.ANOMALY]: "KedgeAnomaly",
  [IncidentKind.BURN_RATE]: "KedgeErrorBudgetBurn",
  [IncidentKind.ROLLOUT]: "KedgeRollout",
  [IncidentKind.NODE]: "KedgeNode",
  [IncidentKind.REPLICA]: "KedgeReplica",
};
/** An open alert that is not told again for so long is over: two tellings may get lost. */
const FORGOTTEN_AFTER_MS = 4 * REFRESH_MS;

/**
 * One alert for Alertmanager's API v2 (`POST /api/v2/alerts`). The incident's id is a label, so that an alert is one
 * incident, however often it is told; `endsAt` is explicit, so that the server's resolve_timeout does not matter.
 */
export function alertmanagerMessage(headers: Readonly<Record<string, string>>, notice: Notice): Message {
  const { incident, links, nowMs } = notice;
  const startMs = incident.openedAt === undefined ? nowMs : timestampMs(incident.openedAt);
  const alert = {
    labels: labels(incident),
    annotations: annotations(notice),
    startsAt: new Date(startMs).toISOString(),
    endsAt: new Date(Math.max(startMs, endMs(notice))).toISOString(),
    generatorURL: links.svg,
  };
  return { body: JSON.stringify([alert]), headers };
}

function endMs({ incident: { state, resolvedAt }, nowMs }: Notice): number {
  if (state !== IncidentState.RESOLVED) return nowMs + FORGOTTEN_AFTER_MS;
  // An end in the future would mean that it goes on.
  return resolvedAt === undefined ? nowMs : Math.min(nowMs, timestampMs(resolvedAt));
}

function labels(incident: Incident): Record<string, string> {
  const { deployment = "", revision = 0, nodeId = "", replicaId = "" } = incident.subject ?? {};
  return filled({
    alertname: NAMES[incident.kind] ?? NAMES[IncidentKind.UNSPECIFIED],
    severity: severityWord(incident.severity),
    kind: kindWord(incident.kind),
    deployment,
    revision: revision > 0 ? String(revision) : "",
    node: nodeId,
    replica: replicaId,
    incident: incident.id,
  });
}

function annotations({ incident, links }: Notice): Record<string, string> {
  return filled({
    summary: plainText(incident.summary, MAX_SENTENCE),
    description: plainText(incident.reason, MAX_SENTENCE),
    causes: causeWords(incident).join("\n"),
    actions: actionWords(incident).join("\n"),
    series: incident.series.map(seriesWords).join("\n"),
    graph: links.png,
    acknowledged_by: plainText(incident.acknowledgedBy, 80),
    resolution: plainText(incident.resolution, MAX_SENTENCE),
  });
}

function filled(pairs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(pairs).filter(([, value]) => value !== ""));
}
