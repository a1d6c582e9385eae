import { timestampMs } from "@bufbuild/protobuf/wkt";
import { mixUserHash } from "@kedge/domain";
import type { ArmCounts, Histogram, MetricSpec, RevisionWindow, RouteJudgement, Window } from "@kedge/proto";
import type { ArmWindow, JudgeWindow, MetricValue } from "../judge/judge-types.ts";
import type { ArmUsers, UserCohort } from "../judge/user-cohort.ts";
import type { JudgeSetup } from "./judge-setup.ts";
import { RESTARTS, toldValue } from "./own-metrics.ts";

/** What a gateway's window tells of the two revisions of a rollout. */
export interface Arms {
  readonly canary: RevisionWindow | undefined;
  readonly baseline: RevisionWindow | undefined;
}

/** Requests and errors of a revision. */
export type ArmTotals = Pick<ArmCounts, "requests" | "errors">;

/** Response times summed up: their number, and the sum of their logarithms (of milliseconds). */
export interface LatencySum {
  readonly count: number;
  readonly sumOfLogs: number;
}

/** Mirrored answers that were compared with those that users got. */
export interface Comparisons {
  readonly compared: bigint;
  readonly differing: bigint;
}

/** How a window is shown to a judge. */
export interface ShownWindow {
  readonly setup: Pick<JudgeSetup, "sees" | "userMetrics" | "seesRestarts">;
  /** Given when users are assigned at random: they are counted, not requests. */
  readonly cohort?: UserCohort | undefined;
}

const MAX_REPORTED = 10_000_000;
const MAX_LABELS = 33;
const MAX_BOUNDS = 256;
const ALL = 10_000;
/**
 * How gateways write users, big-endian: this byte, then their hashes of 32 bits; or that byte, a limit, and the hashes of
 * those whose mixed hash is below it.
 */
const ONE_BY_ONE = 1;
const SAMPLED = 2;
const ALL_USERS = 2 ** 32;

/** Both revisions' parts of a window, of requests that the split sent. */
export function armsOf(
  window: Window,
  { fromRevision, toRevision }: Pick<RouteJudgement, "fromRevision" | "toRevision">,
): Arms {
  const of = (revision: number) => window.revisions.find((part) => part.revision === revision);
  return { canary: of(toRevision), baseline: of(fromRevision) };
}

/** Requests and errors of a revision in a window, those that a match sent there too; impossible numbers made harmless. */
export function totalsOf(window: Window, revision: number): ArmTotals {
  let requests = 0;
  let errors = 0;
  for (const part of [...window.revisions, ...window.matched]) {
    if (part.revision !== revision) continue;
    const counts = countsOf(part);
    requests += counts.requests;
    errors += counts.errors;
  }
  return { requests: BigInt(requests), errors: BigInt(errors) };
}

/** The response times of a revision in a window, those of matched requests too: upper bounds with counts. */
export function latencyCounts(window: Window, revision: number): (readonly [number, number])[] {
  return [...window.revisions, ...window.matched].filter((part) => part.revision === revision).flatMap(boundedCounts);
}

function boundedCounts(part: RevisionWindow): (readonly [number, number])[] {
  const { bounds = [], counts = [] } = part.latencyMs ?? {};
  if (!isWithin(counts, MAX_BOUNDS, countsOf(part).requests)) return [];
  const found = counts.map((count, i) => [bounds[i] ?? bounds.at(-1) ?? 0, count] as const);
  return found.filter(([bound, count]) => bound > 0 && Number.isFinite(bound) && count > 0);
}

/** The same, summed up. */
export function latencyOf(window: Window, revision: number): LatencySum {
  let count = 0;
  let sumOfLogs = 0;
  for (const [bound, many] of latencyCounts(window, revision)) {
    count += many;
    sumOfLogs += many * Math.log(bound);
  }
  return { count, sumOfLogs };
}

/** The comparisons of a mirrored revision's answers in a window; impossible numbers made harmless. */
export function comparisonsOf({ shadows }: Window, revision: number): Comparisons {
  const found = shadows.find(({ answers }) => answers?.revision === revision);
  const compared = Math.min(found?.compared ?? 0, MAX_REPORTED);
  return { compared: BigInt(compared), differing: BigInt(Math.min(found?.differing ?? 0, compared)) };
}

/**
 * A window as a judge wants it; undefined when neither revision has a share, "unreadable" when users are to be judged and
 * what is told of them is no list. Of too many users a sample is told, chosen by hash: of both arms those below the lower
 * limit are judged. Each gateway's window has the weight of that gateway's own shares. Requests to warming replicas are in no
 * count, and those that were sent again are errors; the gateway sees to both. The sender is not trusted.
 */
export function judgeWindow(
  window: Window,
  arms: Arms,
  { setup, cohort }: ShownWindow,
): JudgeWindow | "unreadable" | undefined {
  const canaryShare = Math.min(arms.canary?.basisPoints ?? 0, ALL);
  const share = canaryShare + Math.min(arms.baseline?.basisPoints ?? 0, ALL);
  if (share === 0) return undefined;
  const shown = { seconds: secondsOf(window), weight: canaryShare / share };
  if (cohort === undefined) return { ...shown, ...mapArms(arms, (part) => armOf(part, setup)) };
  const baseline = usersOf(arms.baseline);
  const canary = usersOf(arms.canary);
  if (baseline === undefined || canary === undefined) return "unreadable";
  const limit = Math.min(baseline.limit, canary.limit);
  const distinct = cohort.distinctWindow({ ...shown, baseline: below(limit, baseline), canary: below(limit, canary) });
  return setup.seesRestarts ? withRestartsTold(distinct, arms) : distinct;
}

function mapArms<T>({ baseline, canary }: Arms, map: (part: RevisionWindow | undefined) => T): Record<keyof Arms, T> {
  return { baseline: map(baseline), canary: map(canary) };
}

function armOf(part: RevisionWindow | undefined, setup: ShownWindow["setup"]): ArmWindow {
  const { sees } = setup;
  const { requests, errors } = countsOf(part);
  const arm = { requests, errors: sees.has("errors") ? errors : 0 };
  if (part === undefined) return arm;
  const { latencyMs, predictions } = part;
  const isHistogram = latencyMs !== undefined && isSound(latencyMs) && isWithin(latencyMs.counts, MAX_BOUNDS, requests);
  const isLabelled = isWithin(Object.values(predictions), MAX_LABELS, requests);
  return {
    ...arm,
    ...(sees.has("latency") && isHistogram ? { latencyMs } : {}),
    ...(sees.has("predictions") && isLabelled ? { predictions } : {}),
    metrics: { ...userValues(part, setup.userMetrics), ...(setup.seesRestarts ? restartsTold(part) : {}) },
  };
}

function userValues({ metrics }: RevisionWindow, specs: readonly MetricSpec[]): Record<string, MetricValue> {
  const values = specs.flatMap((spec): [string, MetricValue][] => {
    const told = metrics.find(({ name }) => name === spec.name);
    const value = told && toldValue(spec, told);
    return value === undefined ? [] : [[spec.name, value]];
  });
  return Object.fromEntries(values);
}

function withRestartsTold(window: JudgeWindow, arms: Arms): JudgeWindow {
  const told = mapArms(arms, (part) => ({ metrics: part === undefined ? {} : restartsTold(part) }));
  return {
    ...window,
    baseline: { ...window.baseline, ...told.baseline },
    canary: { ...window.canary, ...told.canary },
  };
}

/** Only that they are told: the events themselves are counted over the whole fleet, see ExposureLedger. */
function restartsTold({ exposure }: RevisionWindow): Record<string, MetricValue> {
  return exposure === undefined ? {} : { [RESTARTS]: { events: 0, exposure: 0 } };
}

/** Finite bounds that ascend, with a count each, and one for what is beyond. */
function isSound({ bounds, counts }: Histogram): boolean {
  const ascends = bounds.every(
    (bound, i) => Number.isFinite(bound) && bound > (bounds[i - 1] ?? Number.NEGATIVE_INFINITY),
  );
  return ascends && counts.length === bounds.length + 1;
}

/** No answer without a request, and not more kinds of them than gateways tell apart. */
function isWithin(counts: readonly number[], most: number, requests: number): boolean {
  const sum = counts.reduce((total, count) => total + count, 0);
  return counts.length <= most && sum > 0 && sum <= requests;
}

function countsOf(part: RevisionWindow | undefined): { readonly requests: number; readonly errors: number } {
  const requests = Math.min(part?.requests ?? 0, MAX_REPORTED);
  return { requests, errors: Math.min(part?.errors ?? 0, requests) };
}

interface ToldUsers {
  readonly users: readonly number[];
  readonly failed: readonly number[];
  /** All users whose mixed hash is below it are told. */
  readonly limit: number;
}

function usersOf(part: RevisionWindow | undefined): ToldUsers | undefined {
  const users = hashesOf(part?.users);
  const failed = hashesOf(part?.usersWithErrors);
  if (users === undefined || failed === undefined) return undefined;
  return { users: users.hashes, failed: failed.hashes, limit: Math.min(users.limit, failed.limit) };
}

function below(limit: number, { users, failed }: ToldUsers): ArmUsers {
  const isBelow = (hash: number) => mixUserHash(hash) < limit;
  return { users: users.filter(isBelow), failed: failed.filter(isBelow) };
}

function hashesOf(sketch: Uint8Array = new Uint8Array()): { hashes: number[]; limit: number } | undefined {
  if (sketch.length === 0) return { hashes: [], limit: ALL_USERS };
  const begin = sketch[0] === SAMPLED ? 5 : 1;
  const isKnown = sketch[0] === SAMPLED || sketch[0] === ONE_BY_ONE;
  if (!isKnown || sketch.length < begin || (sketch.length - begin) % 4 !== 0) return undefined;
  const view = new DataView(sketch.buffer, sketch.byteOffset, sketch.byteLength);
  const hashes = Array.from({ length: (sketch.length - begin) / 4 }, (_, i) => view.getUint32(begin + 4 * i));
  return { hashes, limit: begin === 5 ? view.getUint32(1) : ALL_USERS };
}

function secondsOf({ from, to }: Window): number {
  return from === undefined || to === undefined ? 0 : Math.max(0, timestampMs(to) - timestampMs(from)) / 1000;
}
