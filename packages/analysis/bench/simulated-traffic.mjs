// Windows of two revisions under conditions that production traffic has.
import { seededDraws } from "./seeded.mjs";

/** What the arms have in common at a moment: factors on error rate and latency, odds of the first label. */
const CONDITIONS = {
  plain: () => () => ({ errors: 1, latency: 1, label: 1 }),
  drift: () => (requests) => {
    const swing = Math.sin((2 * Math.PI * requests) / 10_000);
    return { errors: 1 + 0.8 * swing, latency: 1 + 0.5 * swing, label: Math.exp(swing) };
  },
  bursts: (draws) => () =>
    draws.uniform() < 0.05 ? { errors: 20, latency: 4, label: 3 } : { errors: 1, latency: 1, label: 1 },
  autocorrelated: (draws) => {
    let level = 0;
    return () => {
      level = 0.95 * level + 0.3 * draws.normal();
      return { errors: Math.exp(0.5 * level), latency: Math.exp(0.5 * level), label: Math.exp(0.5 * level) };
    };
  },
};

/** Canary's share of traffic as a rollout raises it. */
const RAMP = [0.05, 0.1, 0.25, 0.5];

export const CONDITION_NAMES = [...Object.keys(CONDITIONS), "ramp and drift"];

/**
 * Makes windows of `size` requests, each routed to the canary by a coin of its own. `canaryRate`, `slower` (factor on the
 * canary's latencies) and `canaryLabels` set it apart; `latency`: "lognormal" (σ = 0.5), "heavy" (t with 3 degrees of
 * freedom, scale 0.3) or none, about a `median` of 20 ms; `labels`: shares by label, or none.
 */
export function createTraffic(options) {
  const {
    seed,
    size,
    baselineRate,
    canaryRate,
    condition = "plain",
    latency,
    slower = 1,
    labels,
    median = 20,
  } = options;
  const draws = seededDraws(seed);
  const isRamp = condition === "ramp and drift";
  const common = CONDITIONS[isRamp ? "drift" : condition](draws);
  let served = 0;
  const millisOf = (factor) =>
    median * factor * (latency === "heavy" ? Math.exp(0.3 * draws.heavy()) : draws.lognormal(0.5));
  const arm = () => ({
    requests: 0,
    errors: 0,
    latencyMs: [],
    ...(labels === undefined ? {} : { predictions: Object.fromEntries(Object.keys(labels).map((l) => [l, 0])) }),
  });
  return function next() {
    const weight = isRamp ? RAMP[Math.min(3, Math.floor(served / 12_500))] : options.weight;
    const now = common(served);
    const window = { seconds: 0.25, weight, baseline: arm(), canary: arm() };
    for (let i = 0; i < size; i++) {
      const isCanary = draws.uniform() < weight;
      const side = isCanary ? window.canary : window.baseline;
      side.requests++;
      if (draws.uniform() < now.errors * (isCanary ? canaryRate : baselineRate)) side.errors++;
      if (latency !== undefined) side.latencyMs.push(millisOf(now.latency * (isCanary ? slower : 1)));
      if (labels !== undefined) {
        const label = pickLabel(isCanary ? (options.canaryLabels ?? labels) : labels, now.label, draws.uniform());
        side.predictions[label] = (side.predictions[label] ?? 0) + 1;
      }
    }
    served += size;
    return window;
  };
}

function pickLabel(shares, firstFactor, uniform) {
  const entries = Object.entries(shares).map(([label, share], i) => [label, i === 0 ? share * firstFactor : share]);
  let left = uniform * entries.reduce((sum, [, share]) => sum + share, 0);
  for (const [label, share] of entries) {
    left -= share;
    if (left <= 0) return label;
  }
  return entries.at(-1)[0];
}
