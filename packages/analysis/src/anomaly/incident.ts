import { KedgeError } from "@kedge/domain";
import { ALARM_SCORE } from "./detector-types.ts";

/** When an incident opens and closes. */
export interface IncidentRule {
  /** Evidence that opens: a score of 0.5 weighs 1, 0.67 weighs 2, 0.9 weighs 9. Default 1: one alarm. */
  readonly openEvidence?: number;
  /** Evidence halves in this time. Default 300. */
  readonly halfLifeSeconds?: number;
  /** A score from here on keeps an open incident open. Default 0.35: below an alarm, since alarms that last are held back. */
  readonly stayScore?: number;
  /** Calm, by points that say so, after which it closes. Default 600. */
  readonly calmSeconds?: number;
  /** So long after it closed, new evidence reopens the same incident. Default 1800. */
  readonly reopenSeconds?: number;
}

/** What one series (or whatever the caller keys incidents by) reports. */
export interface IncidentSign {
  readonly epochSeconds: number;
  /** 0 to 1; not a number: nothing is known, which is neither evidence nor calm. */
  readonly score: number;
}

/** One incident so far. Its identity is the key it is kept under and `openedAtSeconds`. */
export interface Incident {
  readonly openedAtSeconds: number;
  readonly lastEvidenceAtSeconds: number;
  readonly peakScore: number;
  /** Signs of at least the alarm score, in all. */
  readonly alarms: number;
  readonly reopened: number;
}

/** Where things stand; plain data, to be stored and given back. Start with `calmState`. */
export type IncidentState =
  | { readonly phase: "calm"; readonly evidence: number; readonly atSeconds: number }
  | { readonly phase: "open"; readonly incident: Incident; readonly calmSinceSeconds?: number }
  | {
      readonly phase: "closed";
      readonly incident: Incident;
      readonly closedAtSeconds: number;
      readonly evidence: number;
      readonly atSeconds: number;
    };

/** The new state, and what is to be told, if anything: nothing while an incident goes on. */
export interface IncidentStep {
  readonly state: IncidentState;
  readonly event?: "opened" | "reopened" | "closed";
}

type ResolvedRule = Required<IncidentRule>;

/** The state before the first sign. */
export const calmState: IncidentState = { phase: "calm", evidence: 0, atSeconds: 0 };

/**
 * Takes in one sign. Opens once evidence has gathered, stays open as long as signs keep coming, closes after calm, and
 * reopens the same incident when it flares up again, so that one disturbance is told of once.
 * Signs are to come in order of time; one from the past counts as of the last one's time.
 *
 * @throws KedgeError INVALID_OPTION for a rule out of range.
 */
export function observeSign(state: IncidentState, sign: IncidentSign, rule: IncidentRule = {}): IncidentStep {
  const resolved = resolveIncidentRule(rule);
  if (!(sign.score >= 0 && sign.score <= 1) || !Number.isFinite(sign.epochSeconds)) return { state };
  return state.phase === "open" ? whileOpen(state, sign, resolved) : whileNotOpen(state, sign, resolved);
}

function resolveIncidentRule(rule: IncidentRule): ResolvedRule {
  const resolved = {
    openEvidence: 1,
    halfLifeSeconds: 300,
    stayScore: 0.35,
    calmSeconds: 600,
    reopenSeconds: 1800,
    ...rule,
  };
  for (const [name, value] of Object.entries(resolved)) {
    const isLegal = name === "stayScore" ? value >= 0 && value <= 1 : value >= 0 && Number.isFinite(value);
    const isZero = value === 0 && (name === "openEvidence" || name === "halfLifeSeconds");
    if (!isLegal || isZero)
      throw new KedgeError("INVALID_OPTION", `incident rule: ${name} must not be ${value}`, { field: name });
  }
  return resolved;
}

function whileNotOpen(
  state: Exclude<IncidentState, { phase: "open" }>,
  { epochSeconds, score }: IncidentSign,
  rule: ResolvedRule,
): IncidentStep {
  const now = Math.max(epochSeconds, state.atSeconds);
  const faded = state.evidence * 2 ** (-(now - state.atSeconds) / rule.halfLifeSeconds);
  const evidence = faded + (score >= ALARM_SCORE ? weightOf(score) : 0);
  if (evidence < rule.openEvidence || score < ALARM_SCORE) {
    return { state: { ...state, evidence, atSeconds: now } };
  }
  if (state.phase === "closed" && now - state.closedAtSeconds <= rule.reopenSeconds) {
    const incident = withEvidence({ ...state.incident, reopened: state.incident.reopened + 1 }, now, score);
    return { state: { phase: "open", incident }, event: "reopened" };
  }
  const incident = { openedAtSeconds: now, lastEvidenceAtSeconds: now, peakScore: score, alarms: 1, reopened: 0 };
  return { state: { phase: "open", incident }, event: "opened" };
}

function whileOpen(
  state: Extract<IncidentState, { phase: "open" }>,
  { epochSeconds, score }: IncidentSign,
  rule: ResolvedRule,
): IncidentStep {
  const { incident, calmSinceSeconds } = state;
  const now = Math.max(epochSeconds, calmSinceSeconds ?? incident.lastEvidenceAtSeconds);
  if (score >= rule.stayScore) return { state: { phase: "open", incident: withEvidence(incident, now, score) } };
  const since = calmSinceSeconds ?? now;
  if (now - since < rule.calmSeconds) return { state: { phase: "open", incident, calmSinceSeconds: since } };
  const closed = { phase: "closed", incident, closedAtSeconds: now, evidence: 0, atSeconds: now } as const;
  return { state: closed, event: "closed" };
}

function withEvidence(incident: Incident, now: number, score: number): Incident {
  return {
    ...incident,
    lastEvidenceAtSeconds: now,
    peakScore: Math.max(incident.peakScore, score),
    alarms: incident.alarms + (score >= ALARM_SCORE ? 1 : 0),
  };
}

/** Odds of the score: the surprise in units of what makes an alarm. */
const weightOf = (score: number): number => Math.min(1e6, score / Math.max(1e-6, 1 - score));
