// What people use first, as scores in [0, 1) where 0.5 is three standard deviations, with the same refractory rule.

const scoreOf = (sigmas) => (Number.isFinite(sigmas) ? sigmas / (sigmas + 3) : sigmas > 0 ? 1 : 0);

/** Distance from the mean of the last `length` values. */
export function rollingSigma(length) {
  const values = [];
  return held((_time, value) => {
    const sigmas = sigmasFrom(values, value);
    values.push(value);
    if (values.length > length) values.shift();
    return sigmas;
  });
}

/** Exponentially weighted moving average control chart (Roberts 1959), spread followed at a slower rate. */
export function ewmaChart() {
  let mean;
  let variance = 0;
  return held((_time, value) => {
    if (mean === undefined) {
      mean = value;
      return 0;
    }
    const miss = value - mean;
    const sigmas = variance > 0 ? Math.abs(miss) / Math.sqrt(variance) : 0;
    mean += 0.2 * miss;
    variance += 0.02 * (miss ** 2 - variance);
    return sigmas;
  });
}

/** Distance from the mean of the first 400 values: a threshold that somebody set once. */
export function staticThreshold() {
  const values = [];
  return held((_time, value) => {
    if (values.length < 400) values.push(value);
    return values.length < 400 ? 0 : sigmasFrom(values, value);
  });
}

function sigmasFrom(values, value) {
  if (values.length < 20) return 0;
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  const variance = values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length;
  return variance > 0 ? Math.abs(value - mean) / Math.sqrt(variance) : 0;
}

/** Halves the score of what is not clearly stronger than what was seen in the last 150 points or so. */
function held(sigmasOf) {
  let strongest = 0;
  return (time, value) => {
    if (!Number.isFinite(value)) return 0;
    const sigmas = sigmasOf(time, value);
    const isNew = sigmas >= 1.1 * strongest;
    strongest = Math.max(sigmas, strongest * (1 - 1 / 150));
    return scoreOf(isNew ? sigmas : sigmas / 2);
  };
}
