// The Numenta Anomaly Benchmark's score (Lavin and Ahmad, ICMLA 2015), written from its description.

/** Rewards and costs of the three profiles. */
export const NAB_PROFILES = {
  standard: { truePositive: 1, falseNegative: 1, falsePositive: 0.11 },
  "low FP": { truePositive: 1, falseNegative: 1, falsePositive: 0.22 },
  "low FN": { truePositive: 1, falseNegative: 2, falsePositive: 0.11 },
};

/** Worth of a detection at relative position y (-1: start of the window, 0: its end, above 0: after it). */
export const positionWorth = (y) => (y > 3 ? -1 : 2 / (1 + Math.exp(5 * y)) - 1);

/** Rows at the start that do not count. */
export const probation = (rows) => Math.min(Math.floor(0.15 * rows), 750);

/** Worth of a detection in each row, and the window the row is in, if any. Windows are [first, last], in order. */
export function rowWorths(rows, windows) {
  const worths = new Float64Array(rows).fill(-1);
  const windowOf = new Int32Array(rows).fill(-1);
  for (const [index, [first, last]] of windows.entries()) {
    const next = windows[index + 1]?.[0] ?? rows;
    for (let row = first; row <= last; row++) {
      windowOf[row] = index;
      worths[row] = positionWorth(-(last - row + 1) / (last - first + 1));
    }
    for (let row = last + 1; row < next; row++) worths[row] = positionWorth((row - last) / (last - first));
  }
  return { worths, windowOf };
}

/** Normalised score, 0 (nothing detected) to 100 (perfect), of scored series { scores, windows } at one threshold. */
export function nabScore(scored, threshold, profile) {
  let raw = 0;
  let count = 0;
  for (const { scores, windows } of scored) {
    count += windows.length;
    raw += rawScore(scores, windows, threshold, profile);
  }
  const none = -count * profile.falseNegative;
  return (100 * (raw - none)) / (count * profile.truePositive - none);
}

/** The score of one series, not normalised. */
export function rawScore(scores, windows, threshold, profile) {
  const { worths, windowOf } = rowWorths(scores.length, windows);
  const best = new Float64Array(windows.length).fill(Number.NEGATIVE_INFINITY);
  let raw = 0;
  for (let row = probation(scores.length); row < scores.length; row++) {
    if (!(scores[row] >= threshold)) continue;
    if (windowOf[row] < 0) raw += profile.falsePositive * worths[row];
    else best[windowOf[row]] = Math.max(best[windowOf[row]], worths[row]);
  }
  for (const worth of best) {
    raw += Number.isFinite(worth) ? (profile.truePositive * worth) / positionWorth(-1) : -profile.falseNegative;
  }
  return raw;
}
