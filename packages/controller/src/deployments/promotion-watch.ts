import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  ALARM_SCORE,
  type AnomalyDetector,
  burnAlerts,
  createAnomalyDetector,
  type LatencySum,
  latencyOf,
  type RequestWindow,
  STANDARD_BURN_RULES,
  totalsOf,
} from "@kedge/analysis";
import type { Clock } from "@kedge/kernel";
import { type Deployment, type Rollout, RolloutState, type Window } from "@kedge/proto";
import type { Incident } from "@kedge/rollout";

interface Bucket {
  readonly startMs: number;
  requests: number;
  errors: number;
  latency: LatencySum;
}

interface Series {
  readonly errors: AnomalyDetector;
  readonly latency: AnomalyDetector;
  bucket: Bucket;
  /** Since the promotion of this rollout. */
  rolloutId: string;
  burned: RequestWindow[];
  incident: Incident | undefined;
}

const BUCKET_MS = 10_000;
/** A bucket with fewer requests has no rate worth the name. */
const MIN_REQUESTS = 20;
/** An hour's worth, the longest that the fast rule looks back. */
const MAX_BUCKETS = 360;
const FAST_RULES = STANDARD_BURN_RULES.slice(0, 1);
/** Fewer errors than this are no incident, however little the traffic. */
const MIN_ERRORS = 20;
/** Share of the requests that may fail, unless more did before. */
const ERROR_BUDGET = 0.001;
const MAX_BUDGET = 0.5;

/**
 * Looks after what was promoted, for deployments whose analysis asks for it: anomalies in the error rate and the response
 * times of the revision in force, in steps of 10 s, and the fast burn of the error budget since the promotion. The budget is
 * 0.1 % of the requests, or what failed on the revision before, if that is more. What is normal is learnt anew after a restart.
 */
export class PromotionWatch {
  readonly #clock: Clock;
  readonly #series = new Map<string, Series>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes a window, once. Tells whether it makes an incident. */
  observe(deployment: Deployment, window: Window): boolean {
    if (!deployment.spec?.analysis?.watchSeconds) {
      this.forget(deployment.name);
      return false;
    }
    const nowMs = this.#clock.now();
    const series = this.#of(deployment.name, nowMs);
    const watched = watchedRollout(deployment, nowMs);
    if (watched !== undefined && watched.id !== series.rolloutId) {
      Object.assign(series, { rolloutId: watched.id, burned: [], incident: undefined, bucket: bucketAt(nowMs) });
    }
    const alarm = nowMs - series.bucket.startMs >= BUCKET_MS ? closeBucket(series, nowMs, watched) : undefined;
    addTo(series.bucket, window, deployment.stableRevision);
    if (watched === undefined || series.incident !== undefined) return false;
    const reason = alarm ?? burnOf(series, watched, nowMs);
    if (reason === undefined) return false;
    series.incident = { revision: watched.toRevision, reason };
    return true;
  }

  /** The incident that is laid at the promoted revision's door. */
  incident({ name, rollout }: Deployment): Incident | undefined {
    const series = this.#series.get(name);
    return rollout !== undefined && series?.rolloutId === rollout.id ? series.incident : undefined;
  }

  /** Forgets a deployment. */
  forget(deployment: string): void {
    this.#series.delete(deployment);
  }

  /** Forgets all, as a new term does. */
  restart(): void {
    this.#series.clear();
  }

  #of(name: string, nowMs: number): Series {
    const known = this.#series.get(name);
    if (known !== undefined) return known;
    const detectors = { errors: createAnomalyDetector(), latency: createAnomalyDetector() };
    const series = { ...detectors, bucket: bucketAt(nowMs), rolloutId: "", burned: [], incident: undefined };
    this.#series.set(name, series);
    return series;
  }
}

/** The rollout whose promotion is watched now. */
function watchedRollout({ rollout }: Deployment, nowMs: number): Rollout | undefined {
  if (rollout?.state !== RolloutState.SUCCEEDED || rollout.fromRevision === 0 || rollout.returning) return undefined;
  return nowMs < finishedMs(rollout) + (rollout.analysis?.watchSeconds ?? 0) * 1000 ? rollout : undefined;
}

function finishedMs({ finishedAt }: Rollout): number {
  return finishedAt === undefined ? 0 : timestampMs(finishedAt);
}

function bucketAt(startMs: number): Bucket {
  return { startMs, requests: 0, errors: 0, latency: { count: 0, sumOfLogs: 0 } };
}

function addTo(bucket: Bucket, window: Window, revision: number): void {
  const { requests, errors } = totalsOf(window, revision);
  bucket.requests += Number(requests);
  bucket.errors += Number(errors);
  const { count, sumOfLogs } = latencyOf(window, revision);
  bucket.latency = { count: bucket.latency.count + count, sumOfLogs: bucket.latency.sumOfLogs + sumOfLogs };
}

/** Begins the next bucket; says what was unusual about the last, if it began after the promotion and is for the worse. */
function closeBucket(series: Series, nowMs: number, watched: Rollout | undefined): string | undefined {
  const { bucket } = series;
  const { startMs, requests, errors, latency } = bucket;
  series.bucket = bucketAt(nowMs);
  const at = startMs / 1000;
  const rate = requests < MIN_REQUESTS ? Number.NaN : errors / requests;
  const middleMs = latency.count < MIN_REQUESTS ? Number.NaN : Math.exp(latency.sumOfLogs / latency.count);
  const signs = [
    { what: "error rate", shown: `${(100 * rate).toFixed(2)} %`, point: series.errors.update(at, rate) },
    { what: "response time", shown: `${middleMs.toFixed(1)} ms`, point: series.latency.update(at, middleMs) },
  ];
  if (watched === undefined) return undefined;
  series.burned = [...series.burned, requestsOf(bucket, nowMs)].slice(-MAX_BUCKETS);
  const worse = signs.find(({ point: { score, kind, since } }) => {
    const isUp = kind === "spike" || kind === "rise";
    return isUp && score >= ALARM_SCORE && since * 1000 >= finishedMs(watched);
  });
  return worse && `unusual ${worse.what}: ${worse.shown}, about 1 in 10^${worse.point.surprise.toFixed(0)} by chance`;
}

function requestsOf({ startMs, requests, errors }: Bucket, endMs: number): RequestWindow {
  return { endEpochSeconds: endMs / 1000, seconds: Math.max(1, endMs - startMs) / 1000, requests, errors };
}

function burnOf({ burned, bucket }: Series, { totalBaseline }: Rollout, nowMs: number): string | undefined {
  const before = Number(totalBaseline?.errors ?? 0n) / Math.max(1, Number(totalBaseline?.requests ?? 0n));
  const budget = Math.min(MAX_BUDGET, Math.max(ERROR_BUDGET, before));
  const [alert] = burnAlerts({
    objective: 1 - budget,
    windows: [...burned, requestsOf(bucket, nowMs)],
    nowEpochSeconds: nowMs / 1000,
    rules: FAST_RULES,
    minErrors: MIN_ERRORS,
  });
  return alert?.reason;
}
