import { equals } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Clock, newId, type ReconcileResult } from "@kedge/kernel";
import { type Incident, IncidentSchema, IncidentState } from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import type { Condition } from "./condition.ts";
import type { Evidence } from "./evidence.ts";
import type { Finding, FindingAction } from "./finding.ts";
import {
  addActions,
  addEvidence,
  close,
  draftOf,
  isOldNews,
  isReopened,
  newIncident,
  noteSeen,
  repeat,
} from "./incident-document.ts";

/** What incidents are kept with. */
export interface IncidentsOptions {
  readonly stores: Stores;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly conditionOf: (incident: Incident, nowMs: number) => Condition;
  readonly evidenceOf: (incident: Incident) => Evidence;
}

interface Pending {
  finding: Finding | undefined;
  readonly actions: FindingAction[];
  over: string | undefined;
  /** Of the incident that a finding opens: the same when the write is tried again. */
  readonly id: string;
}

/** Keys with news that are not stored yet; a storm of more is cut off. */
const MAX_PENDING = 10_000;
const LOOK_EVERY_MS = 10_000;
/** Ages at which an open incident's causes are looked for again: more is known by then. */
const ANALYSES_MS = [60_000, 300_000];

/**
 * Keeps the incidents: one open for each key. Only the leader's loop calls `reconcile`; the documents are the state, so
 * what is open stays open across restarts and is told once.
 */
export class Incidents {
  readonly #options: IncidentsOptions;
  readonly #pending = new Map<string, Pending>();
  /** Newest incident of each key. */
  readonly #newest = new Map<string, string>();
  readonly #calmSince = new Map<string, number>();
  readonly #analysed = new Map<string, number>();
  #lookAtMs = Number.NEGATIVE_INFINITY;
  #add: ((key: string) => void) | undefined;

  constructor(options: IncidentsOptions) {
    this.#options = options;
    options.stores.incidents.onChange((id) => this.follow(id));
  }

  /** Begins a term: keys with news go to `add`. */
  start(add: (key: string) => void): void {
    this.#pending.clear();
    this.#calmSince.clear();
    this.#add = add;
  }

  /** Ends the term; news is dropped from here on. */
  stop(): void {
    this.#add = undefined;
    this.#pending.clear();
  }

  /** Follows a document that came, changed or went. */
  follow(id: string): void {
    const incident = this.#options.stores.incidents.get(id)?.value;
    if (incident === undefined) {
      for (const [key, newest] of this.#newest) if (newest === id) this.#newest.delete(key);
      return;
    }
    const newest = this.#newest.get(incident.key);
    if (newest === undefined || newest <= id) this.#newest.set(incident.key, id);
  }

  /** Takes in something that is wrong. May be called again and again while it is. Without the lease it does nothing. */
  observe(finding: Finding): void {
    const newest = this.newest(finding.key);
    if (newest !== undefined && isOldNews(newest, finding)) return;
    const isKnown = newest?.state === IncidentState.OPEN && !finding.isAlarm && isComplete(newest, finding);
    if (isKnown) return;
    this.#note(finding.key, (pending) => {
      const isAlarm = finding.isAlarm || pending.finding?.isAlarm;
      pending.finding = isAlarm ? { ...finding, isAlarm } : finding;
    });
  }

  /** Notes what was done about the newest incident of a key, if it is not noted. */
  act(key: string, actions: readonly FindingAction[]): void {
    const known = new Set(this.newest(key)?.actions.map(({ what }) => what));
    if (actions.every(({ what }) => known.has(what))) return;
    this.#note(key, (pending) => pending.actions.push(...actions));
  }

  /** Closes the open incident of a key, for those who know that it is over. */
  over(key: string, how: string): void {
    if (this.newest(key)?.state !== IncidentState.OPEN) return;
    this.#note(key, (pending) => {
      pending.over = how;
    });
  }

  /** The newest incident of a key. */
  newest(key: string): Incident | undefined {
    return this.#stored(key)?.value;
  }

  /** All that are open. */
  *open(): Iterable<Incident> {
    for (const [, { value }] of this.#options.stores.incidents.entries()) {
      if (value.state === IncidentState.OPEN) yield value;
    }
  }

  /** Looks at what is open every ten seconds or so; to be called more often. */
  tick(): void {
    const nowMs = this.#options.clock.now();
    if (nowMs - this.#lookAtMs < LOOK_EVERY_MS) return;
    this.#lookAtMs = nowMs;
    for (const { key } of this.open()) this.#add?.(key);
  }

  /** Brings the document of a key up to date. What is not stored is tried again with the next call. */
  async reconcile(key: string): Promise<ReconcileResult | undefined> {
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    const stored = this.#stored(key);
    const draft = this.#next(stored?.value, pending, this.#options.clock.now());
    if (draft === undefined || (stored && equals(IncidentSchema, stored.value, draft))) return undefined;
    const { incidents } = this.#options.stores;
    try {
      if (draft.id === stored?.value.id) await incidents.update(draft.id, draft, stored.revision);
      else await incidents.create(draft.id, draft);
    } catch (error) {
      if (pending !== undefined) this.#putBack(key, pending);
      throw error;
    }
    this.#tell(stored?.value, draft);
    return undefined;
  }

  #next(known: Incident | undefined, pending: Pending | undefined, nowMs: number): Incident | undefined {
    const draft = this.#withFinding(known, pending, nowMs);
    if (draft === undefined) return undefined;
    addActions(draft, pending?.actions ?? []);
    if (draft.state !== IncidentState.OPEN) return draft;
    const isNews = draft.id !== known?.id || known.state !== draft.state || pending?.finding?.isAlarm === true;
    if (isNews || this.#isAnalysisDue(draft, nowMs)) {
      const isSame = known?.id === draft.id && known.state === IncidentState.OPEN;
      const isWider = known?.subject?.nodeId !== draft.subject?.nodeId;
      addEvidence(draft, this.#options.evidenceOf(draft), isSame && !isWider ? undefined : pending?.finding?.gauge);
    }
    if (pending?.over !== undefined) close(draft, pending.over, "", nowMs);
    else if (!isNews) this.#look(draft, nowMs);
    return draft;
  }

  #withFinding(known: Incident | undefined, pending: Pending | undefined, nowMs: number): Incident | undefined {
    const finding = pending?.finding;
    if (finding === undefined) return known && draftOf(known);
    if (known === undefined) return newIncident(pending?.id ?? "", finding, nowMs);
    if (isOldNews(known, finding)) return draftOf(known);
    if (known.state !== IncidentState.OPEN && !isReopened(known, nowMs)) {
      return newIncident(pending?.id ?? "", finding, nowMs);
    }
    const draft = draftOf(known);
    repeat(draft, finding, nowMs);
    return draft;
  }

  /** Closes what has been normal long enough. */
  #look(draft: Incident, nowMs: number): void {
    const condition = this.#options.conditionOf(draft, nowMs);
    if (condition.is !== "normal") {
      this.#calmSince.delete(draft.id);
      if (condition.is === "bad") noteSeen(draft, nowMs);
      return;
    }
    const since = this.#calmSince.get(draft.id) ?? nowMs;
    this.#calmSince.set(draft.id, since);
    if (nowMs - since >= condition.calmMs) close(draft, condition.how, "", nowMs);
  }

  #isAnalysisDue({ id, openedAt }: Incident, nowMs: number): boolean {
    const ageMs = nowMs - (openedAt === undefined ? 0 : timestampMs(openedAt));
    const due = ANALYSES_MS.filter((atMs) => ageMs >= atMs).length;
    const isDue = due > (this.#analysed.get(id) ?? 0);
    if (isDue) this.#analysed.set(id, due);
    return isDue;
  }

  #tell(before: Incident | undefined, after: Incident): void {
    const isOpen = after.state === IncidentState.OPEN;
    const isNew = before?.id !== after.id;
    if (!isNew && before?.state === after.state) return;
    if (!isOpen) {
      this.#calmSince.delete(after.id);
      this.#analysed.delete(after.id);
    }
    recordIncident(this.#options.events, after, isOpen ? (isNew ? "Opened" : "Reopened") : "Resolved");
  }

  #note(key: string, change: (pending: Pending) => void): void {
    const add = this.#add;
    if (add === undefined) return;
    const known = this.#pending.get(key);
    if (known === undefined && this.#pending.size >= MAX_PENDING) return;
    const pending = known ?? { finding: undefined, actions: [], over: undefined, id: newId(this.#options.clock) };
    change(pending);
    this.#pending.set(key, pending);
    add(key);
  }

  /** Under what came meanwhile. The id stays: the write may have been done all the same. */
  #putBack(key: string, { finding, actions, over, id }: Pending): void {
    const newer = this.#pending.get(key);
    this.#pending.set(key, {
      finding: newer?.finding ?? finding,
      actions: [...actions, ...(newer?.actions ?? [])],
      over: newer?.over ?? over,
      id,
    });
  }

  #stored(key: string) {
    const id = this.#newest.get(key);
    return id === undefined ? undefined : this.#options.stores.incidents.get(id);
  }
}

/** Whether an open incident has all that a finding says. */
function isComplete({ actions }: Incident, finding: Finding): boolean {
  const known = new Set(actions.map(({ what }) => what));
  return (finding.actions ?? []).every(({ what }) => known.has(what));
}

/** Tells people of an incident. */
export function recordIncident(events: Pick<EventRecorder, "record">, incident: Incident, reason: string): void {
  const { id, subject, summary, resolution, state } = incident;
  const { deployment = "", nodeId = "" } = subject ?? {};
  const isOpen = state === IncidentState.OPEN;
  const message = isOpen || resolution === "" ? summary : `${summary}: ${resolution}`;
  const fields = { ...(deployment && { deployment }), ...(nodeId && { node: nodeId }) };
  events.record({ kind: "incident", name: id, reason, message, warning: isOpen && reason !== "Acknowledged", fields });
}
