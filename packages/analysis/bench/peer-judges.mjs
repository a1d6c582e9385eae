// How three well-known canary judges decide, from their published descriptions. Each is given points: the error rate of
// both arms over an interval. `look()` returns "rollback" or "continue".

/**
 * Kayenta: Mann-Whitney, 98 % interval of the shift; worse when all of it lies above a quarter of the estimated shift
 * (spinnaker/kayenta, NetflixACAJudge and MannWhitneyClassifier). At least 50 points, as its guide asks for.
 */
export function createKayentaJudge({ minPoints = 50, every = 1 } = {}) {
  const canary = [];
  const baseline = [];
  return {
    add(point) {
      canary.push(point.canary);
      baseline.push(point.baseline);
    },
    look() {
      if (canary.length < minPoints || (canary.length - minPoints) % every !== 0) return "continue";
      return kayentaIsWorse(canary, baseline) ? "rollback" : "continue";
    },
  };
}

/** Flagger: the canary's error rate against a fixed maximum each interval; rolled back at the fifth failed check. */
export function createFlaggerJudge({ max, threshold = 5 }) {
  let failed = 0;
  return {
    add: ({ canary }) => {
      if (!(canary <= max)) failed++;
    },
    look: () => (failed >= threshold ? "rollback" : "continue"),
  };
}

/** Argo Rollouts: a condition on each measurement; aborted when more than `failureLimit` of them failed. */
export function createArgoJudge({ max, failureLimit = 3 }) {
  let failed = 0;
  return {
    add: ({ canary }) => {
      if (!(canary <= max)) failed++;
    },
    look: () => (failed > failureLimit ? "rollback" : "continue"),
  };
}

/** Whether Kayenta calls a metric High. */
export function kayentaIsWorse(canary, baseline) {
  const { low, estimate } = shiftInterval(canary, baseline, 2.3263478740408408);
  return low > 0.25 * Math.abs(estimate);
}

/** Estimate of the shift and the lower end of its interval: inverts the rank-sum test, with tie correction, as R does. */
function shiftInterval(x, y, z) {
  const from = Math.min(...x) - Math.max(...y);
  const to = Math.max(...x) - Math.min(...y);
  return {
    low: rootOf((d) => score(x, y, d, true), z, from, to),
    estimate: rootOf((d) => score(x, y, d, false), 0, from, to),
  };
}

/** Where a decreasing function crosses a level. */
function rootOf(f, level, from, to) {
  let [low, high] = [from, to];
  if (f(low) <= level) return low;
  if (f(high) >= level) return high;
  // R's root finder stops at 1e-4.
  while (high - low > 1e-4) {
    const middle = (low + high) / 2;
    if (f(middle) > level) low = middle;
    else high = middle;
  }
  return low;
}

/** Standardised rank sum of x − shift among both; 0 when everything is tied. */
function score(x, y, shift, isCorrected) {
  const all = [...x.map((value) => [value - shift, 1]), ...y.map((value) => [value, 0])].sort((a, b) => a[0] - b[0]);
  let [rankSum, ties] = [0, 0];
  for (let i = 0; i < all.length; ) {
    let end = i;
    while (end < all.length && all[end][0] === all[i][0]) end++;
    const count = end - i;
    ties += count ** 3 - count;
    for (let k = i; k < end; k++) rankSum += all[k][1] * ((i + end + 1) / 2);
    i = end;
  }
  const [m, n] = [x.length, y.length];
  const excess = rankSum - (m * (m + 1)) / 2 - (m * n) / 2;
  const variance = ((m * n) / 12) * (m + n + 1 - ties / ((m + n) * (m + n - 1)));
  return variance <= 0 ? 0 : (excess - (isCorrected ? Math.sign(excess) * 0.5 : 0)) / Math.sqrt(variance);
}
