import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Incident,
  IncidentActionSchema,
  IncidentSchema,
  IncidentState,
  IncidentSubjectSchema,
} from "@kedge/proto";
import type { Evidence } from "./evidence.ts";
import type { Finding, FindingAction } from "./finding.ts";

/** One that flares up so soon after it was over by itself is opened again. */
export const REOPEN_MS = 30 * 60_000;
const MAX_ACTIONS = 16;
const MAX_TEXT = 1_000;
/** `last_seen_at` is written no more often, and the less often the longer it lasts. */
const SEEN_EVERY_MS = 60_000;
const SEEN_SHARE = 0.05;

/** A new incident's document, complete but for series and causes. */
export function newIncident(id: string, finding: Finding, nowMs: number): Incident {
  const { key, kind, severity, subject, summary, reason, beganAtMs, actions = [] } = finding;
  const at = timestampFromMs(nowMs);
  const incident = create(IncidentSchema, {
    ...{ id, key, kind, severity, state: IncidentState.OPEN },
    subject: create(IncidentSubjectSchema, subject),
    summary: summary.slice(0, MAX_TEXT),
    reason: reason.slice(0, MAX_TEXT),
    beganAt: timestampFromMs(Math.min(nowMs, Math.max(0, beganAtMs))),
    ...{ openedAt: at, lastSeenAt: at },
  });
  addActions(incident, actions);
  return incident;
}

/** Whether a finding is about trouble that was closed already: nothing has begun since. */
export function isOldNews({ state, resolvedAt }: Incident, { beganAtMs }: Finding): boolean {
  return state === IncidentState.RESOLVED && resolvedAt !== undefined && beganAtMs <= timestampMs(resolvedAt);
}

/** Whether a closed incident is opened again by a finding, rather than another one opened. */
export function isReopened({ state, resolvedAt, resolvedBy }: Incident, nowMs: number): boolean {
  if (state !== IncidentState.RESOLVED || resolvedBy !== "" || resolvedAt === undefined) return false;
  return nowMs - timestampMs(resolvedAt) <= REOPEN_MS;
}

/** Takes another finding into an incident, in place. */
export function repeat(incident: Incident, finding: Finding, nowMs: number): void {
  const wasOpen = incident.state === IncidentState.OPEN;
  if (!wasOpen || finding.isAlarm) incident.repeats += 1;
  incident.state = IncidentState.OPEN;
  delete incident.resolvedAt;
  incident.resolution = "";
  incident.severity = Math.max(incident.severity, finding.severity);
  const { subject } = incident;
  const isWider = (subject?.nodeId ?? "") !== "" && (finding.subject.nodeId ?? "") === "";
  if (!wasOpen || isWider) {
    incident.subject = create(IncidentSubjectSchema, finding.subject);
    incident.summary = finding.summary.slice(0, MAX_TEXT);
    incident.reason = finding.reason.slice(0, MAX_TEXT);
    incident.beganAt = timestampFromMs(Math.min(nowMs, Math.max(0, finding.beganAtMs)));
  }
  addActions(incident, finding.actions ?? []);
  if (!wasOpen || finding.isAlarm) incident.lastSeenAt = timestampFromMs(nowMs);
  else noteSeen(incident, nowMs);
}

/** Says that it still goes on, in place; not with every look. */
export function noteSeen(incident: Incident, nowMs: number): void {
  const { openedAt, lastSeenAt } = incident;
  const last = lastSeenAt === undefined ? 0 : timestampMs(lastSeenAt);
  const ageMs = nowMs - (openedAt === undefined ? 0 : timestampMs(openedAt));
  if (nowMs - last >= Math.max(SEEN_EVERY_MS, SEEN_SHARE * ageMs)) incident.lastSeenAt = timestampFromMs(nowMs);
}

/** Closes an incident, in place. `by`: a person, or empty. */
export function close(incident: Incident, resolution: string, by: string, nowMs: number): void {
  incident.state = IncidentState.RESOLVED;
  incident.resolvedAt = timestampFromMs(nowMs);
  incident.resolution = resolution.slice(0, MAX_TEXT);
  incident.resolvedBy = by;
}

/** Adds what was done, in place: each once, the newest kept, oldest first. */
export function addActions(incident: Incident, actions: readonly FindingAction[]): void {
  for (const { atMs, what } of actions) {
    if (incident.actions.some((known) => known.what === what)) continue;
    incident.actions.push(create(IncidentActionSchema, { at: timestampFromMs(atMs), what: what.slice(0, MAX_TEXT) }));
  }
  if (incident.actions.length > MAX_ACTIONS) incident.actions = incident.actions.slice(-MAX_ACTIONS);
}

/** Puts in what is known now, in place. Less than was known before, as after a restart, changes nothing. */
export function addEvidence(incident: Incident, { series, causes }: Evidence, gauge: Finding["gauge"]): void {
  const known = incident.series[0];
  const usual = gauge?.usual ?? known?.usual;
  const limit = gauge?.limit ?? known?.limit;
  if ((series[0]?.points.length ?? 0) >= (known?.points.length ?? 0)) Object.assign(incident, { series, causes });
  const [first] = incident.series;
  if (first === undefined) return;
  if (usual !== undefined) first.usual = usual;
  if (limit !== undefined) first.limit = limit;
}

/** A copy to change. */
export const draftOf = (incident: Incident): Incident => clone(IncidentSchema, incident);
