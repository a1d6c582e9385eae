// Runs of judges on simulated traffic: when they roll back.
import { createJudge } from "@kedge/analysis";
import { createArgoJudge, createFlaggerJudge, createKayentaJudge } from "./peer-judges.mjs";
import { createTraffic } from "./simulated-traffic.mjs";

export const ALPHA = 0.01;
/** Requests that make a point for judges that look at rates over an interval. */
const INTERVAL = 2_000;

/**
 * The peers, each set up for a service whose error rate is known beforehand: fixed limits at half as many again. Kayenta
 * is asked once it has the points that its guide wants, and, apart from that, after every point from the tenth on.
 */
export const PEERS = {
  "Kayenta, 50 points": () => createKayentaJudge({ every: Infinity }),
  "Kayenta, each from 10": () => createKayentaJudge({ minPoints: 10 }),
  Flagger: ({ baselineRate }) => createFlaggerJudge({ max: 1.5 * baselineRate }),
  Argo: ({ baselineRate }) => createArgoJudge({ max: 1.5 * baselineRate }),
};

let seed = 1_000_003;

/** Seeds of everything that follows. */
export function startAt(number) {
  seed = 1_000_003 * number;
}

/** Requests until the judge rolls back; undefined when it does not within the horizon. */
export function requestsToRollback(traffic, horizon, options = {}) {
  const next = createTraffic({ ...traffic, seed: seed++ });
  const judge = createJudge({ alpha: ALPHA, ...options });
  for (let requests = traffic.size; requests <= horizon; requests += traffic.size) {
    if (judge.observe(next()).verdict === "rollback") return requests;
  }
  return undefined;
}

/** The same of a peer, which is shown points. */
export function peerRollback(createPeer, traffic, horizon) {
  const judge = createPeer(traffic);
  const next = createTraffic({ ...traffic, seed: seed++ });
  for (let requests = INTERVAL; requests <= horizon; requests += INTERVAL) {
    const totals = { baseline: [0, 0], canary: [0, 0] };
    for (let i = 0; i < INTERVAL; i += traffic.size) {
      const window = next();
      for (const arm of ["baseline", "canary"]) {
        totals[arm][0] += window[arm].requests;
        totals[arm][1] += window[arm].errors;
      }
    }
    judge.add({ baseline: totals.baseline[1] / totals.baseline[0], canary: totals.canary[1] / totals.canary[0] });
    if (judge.look() === "rollback") return requests;
  }
  return undefined;
}

/** How many of so many runs were rolled back, and their mean requests. */
export function summary(count, once) {
  const found = Array.from({ length: count }, once).filter((requests) => requests !== undefined);
  return { found: found.length, count, mean: found.reduce((sum, requests) => sum + requests, 0) / found.length };
}

/** Mean requests to rollback beside a limit; every regression must be found. */
export function detection(traffic, { limit, count, options }) {
  const { found, mean } = summary(count, () => requestsToRollback(traffic, 40 * limit + 4_000, options));
  if (found < count) throw new Error(`a regression was missed: ${JSON.stringify(traffic)}`);
  return { mean, ratio: (mean / limit).toFixed(2) };
}
