// The judge against simulated traffic: false rollbacks, requests to detection beside the information limit, and peers.
// Usage: node -C kedge-source bench/simulate.mjs [reps=200] [seed=1]
import { createJudge, informationLimit } from "@kedge/analysis";
import { createArgoJudge, createFlaggerJudge, createKayentaJudge, kayentaIsWorse } from "./peer-judges.mjs";
import { CONDITION_NAMES, createTraffic } from "./simulated-traffic.mjs";

const ALPHA = 0.01;
const HORIZON = 50_000;
const reps = Number(process.argv[2] ?? 200);
let seed = 1_000_003 * Number(process.argv[3] ?? 1);

const LABELS = { cat: 0.5, dog: 0.3, bird: 0.2 };
const ERROR_ROWS = [
  [0.01, 0.02, 0.5],
  [0.01, 0.02, 0.1],
  [0.01, 0.05, 0.1],
  [0.001, 0.01, 0.1],
  [0.05, 0.1, 0.1],
  [0.2, 0.3, 0.1],
];

console.log(`alpha ${ALPHA}, looked at after every window, ${reps} repetitions`);
falseRollbacks();
errorDetection();
latencyDetection();
labelDetection();
peers();
vectors();

function falseRollbacks() {
  console.log(`\nfalse rollbacks within ${HORIZON} requests, windows of 100 (with all metrics 250), both arms alike`);
  for (const [rate, weight] of [
    [0.001, 0.1],
    [0.01, 0.5],
    [0.05, 0.1],
    [0.2, 0.1],
  ]) {
    const traffic = { size: 100, baselineRate: rate, canaryRate: rate, weight };
    for (const condition of ["plain", "drift"])
      report(`errors ${rate}, weight ${weight}, ${condition}`, { ...traffic, condition }, reps);
  }
  const all = { size: 250, baselineRate: 0.01, canaryRate: 0.01, weight: 0.1, latency: "lognormal", labels: LABELS };
  for (const condition of CONDITION_NAMES) {
    report(`errors, latency and predictions, ${condition}`, { ...all, condition }, Math.ceil(reps / 4));
  }
  const better = { ...all, canaryRate: 0.005, slower: 0.8, labels: undefined };
  report("a better canary: half the errors, latency × 0.8", better, Math.ceil(reps / 4));
}

function report(name, traffic, count) {
  const ended = Array.from({ length: count }, () => requestsToRollback(traffic, HORIZON));
  const rolledBack = ended.filter((requests) => requests !== undefined).length;
  console.log(`${name}: ${rolledBack}/${count}`);
}

function errorDetection() {
  console.log(
    "\nerrors: mean requests to rollback, windows of 100; in brackets when latency and predictions are judged too",
  );
  for (const [baselineRate, canaryRate, weight] of ERROR_ROWS) {
    const limit = informationLimit({ baselineRate, canaryRate, weight, alpha: ALPHA });
    const traffic = { size: 100, baselineRate, canaryRate, weight };
    const alone = detection(traffic, limit, reps);
    const among = detection({ ...traffic, latency: "lognormal", labels: LABELS }, limit, Math.ceil(reps / 4));
    console.log(
      `${baselineRate} -> ${canaryRate}, weight ${weight}: limit ${limit.toFixed(0)}, mean ${alone.mean.toFixed(0)}, ${alone.ratio} × (${among.ratio} ×)`,
    );
  }
}

function latencyDetection() {
  console.log(
    "\nlatency: mean requests to rollback; limit: that of a known shift of known spread, both arms' levels unknown",
  );
  for (const [slower, weight, latency] of [
    [1.2, 0.5, "lognormal"],
    [1.2, 0.1, "lognormal"],
    [1.5, 0.1, "lognormal"],
    [1.2, 0.1, "heavy"],
  ]) {
    // Heavy tails: the research's measure, the limit of the same shift under normal spread 0.3.
    const deviation = latency === "heavy" ? 0.3 : 0.5;
    const limit = Math.log(1 / ALPHA) / ((weight * (1 - weight) * Math.log(slower) ** 2) / (2 * deviation ** 2));
    const results = [20, 50].map((size) => {
      const traffic = { size, baselineRate: 0, canaryRate: 0, weight, latency, slower };
      return `${detection(traffic, limit, reps).ratio} × in windows of ${size}`;
    });
    const among = { size: 50, baselineRate: 0.01, canaryRate: 0.01, weight, latency, slower, labels: LABELS };
    const ratio = detection(among, limit, Math.ceil(reps / 4)).ratio;
    console.log(
      `${latency} × ${slower}, weight ${weight}: limit ${limit.toFixed(0)}, ${results.join(", ")} (${ratio} × among errors of 1 % and predictions)`,
    );
  }
}

function labelDetection() {
  console.log("\npredictions: mean requests to rollback, windows of 50, no errors");
  for (const [name, canaryLabels] of [
    ["50/30/20 -> 35/45/20 %", { cat: 0.35, dog: 0.45, bird: 0.2 }],
    ["50/30/20 -> 25/15/60 %", { cat: 0.25, dog: 0.15, bird: 0.6 }],
    ["a new label in 5 %", { cat: 0.475, dog: 0.285, bird: 0.19, fish: 0.05 }],
  ]) {
    const limit = Math.log(1 / ALPHA) / labelInformation(LABELS, canaryLabels, 0.1);
    const traffic = { size: 50, baselineRate: 0, canaryRate: 0, weight: 0.1, labels: LABELS, canaryLabels };
    const { mean, ratio } = detection(traffic, limit, reps);
    console.log(`${name}, weight 0.1: limit ${limit.toFixed(0)}, mean ${mean.toFixed(0)}, ${ratio} ×`);
  }
}

/** Expected evidence of one answer that labels and arms depend on each other, in nats. */
function labelInformation(baseline, canary, weight) {
  let information = 0;
  for (const label of new Set([...Object.keys(baseline), ...Object.keys(canary)])) {
    const [b, c] = [baseline[label] ?? 0, canary[label] ?? 0];
    const pooled = weight * c + (1 - weight) * b;
    if (c > 0) information += weight * c * Math.log(c / pooled);
    if (b > 0) information += (1 - weight) * b * Math.log(b / pooled);
  }
  return information;
}

function peers() {
  const interval = 2_000;
  const judges = {
    "this judge, after every 100 requests": undefined,
    "Kayenta, once after 50 intervals": () => createKayentaJudge({ every: HORIZON }),
    "Kayenta, from 50 on after every interval": () => createKayentaJudge(),
    "Kayenta, from 10 on after every interval": () => createKayentaJudge({ minPoints: 10 }),
    "Flagger-style: above 1.5 %, 5 failed checks": () => createFlaggerJudge({ max: 0.015 }),
    "Argo-style: above 1.5 %, failure limit 3": () => createArgoJudge({ max: 0.015 }),
  };
  console.log(
    `\nbeside other judges: weight 0.1, up to ${2 * HORIZON} requests in intervals of ${interval} (theirs); rolled back, mean requests`,
  );
  const cases = {
    "1 % both": { baselineRate: 0.01, canaryRate: 0.01 },
    "1 % both, drift ± 80 %": { baselineRate: 0.01, canaryRate: 0.01, condition: "drift" },
    "1 % -> 2 %": { baselineRate: 0.01, canaryRate: 0.02 },
    "1 % -> 5 %": { baselineRate: 0.01, canaryRate: 0.05 },
  };
  console.log(`| judge | ${Object.keys(cases).join(" | ")} |\n|---|${"---|".repeat(Object.keys(cases).length)}`);
  for (const [name, create] of Object.entries(judges)) {
    const cells = Object.values(cases).map((rates) => {
      const traffic = { size: 100, weight: 0.1, ...rates };
      const once = () =>
        create === undefined ? requestsToRollback(traffic, 2 * HORIZON) : peerRollback(create(), traffic, interval);
      const found = Array.from({ length: Math.ceil(reps / 4) }, once).filter((requests) => requests !== undefined);
      const share = `${((100 * found.length) / Math.ceil(reps / 4)).toFixed(0)} %`;
      return found.length === 0 ? share : `${share}, ${(found.reduce((a, b) => a + b, 0) / found.length).toFixed(0)}`;
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

function peerRollback(judge, traffic, interval) {
  const next = createTraffic({ ...traffic, seed: seed++ });
  for (let requests = interval; requests <= 2 * HORIZON; requests += interval) {
    const totals = { baseline: [0, 0], canary: [0, 0] };
    for (let i = 0; i < interval; i += traffic.size) {
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

/** Canaries that Kayenta passes, and how often each must be seen before this judge rolls it back. */
function vectors() {
  console.log("\ncanaries that Kayenta passes");
  const cases = {
    "spinnaker#6278": [Array(10).fill(1), [...Array(7).fill(100), 1, 1, 1]],
    "kayenta#426": [Array(6).fill(0), [0, 1, 2, 1, 0, 0]],
    "kayenta#780": [
      [1, 100, 4, 101, 5, 102, 6, 103, 7, 104, 8, 105, 9, 106, 17],
      [10, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7],
    ],
  };
  for (const [name, [baseline, canary]] of Object.entries(cases)) {
    const judge = createJudge({ alpha: ALPHA });
    const arm = (values) => ({ requests: values.length, errors: 0, latencyMs: values });
    let looks = 0;
    let verdict;
    do {
      verdict = judge.observe({ seconds: 60, weight: 0.5, baseline: arm(baseline), canary: arm(canary) });
      looks++;
    } while (verdict.verdict !== "rollback" && looks < 20);
    if (verdict.verdict !== "rollback") throw new Error(`${name} was not rolled back`);
    console.log(
      `${name}: Kayenta ${kayentaIsWorse(canary, baseline) ? "fails it" : "passes it"}; here ${verdict.verdict} after ${looks} such samples, e-value ${verdict.evidence.toFixed(0)}`,
    );
  }
}

/** Mean requests to rollback; every regression must be found. */
function detection(traffic, limit, count) {
  const found = Array.from({ length: count }, () => requestsToRollback(traffic, 40 * limit + 1_000));
  if (found.includes(undefined)) throw new Error(`a regression was missed: ${JSON.stringify(traffic)}`);
  const mean = found.reduce((sum, requests) => sum + requests, 0) / count;
  return { mean, ratio: (mean / limit).toFixed(2) };
}

/** Requests until the judge rolls back; undefined when it does not within the horizon. */
function requestsToRollback(traffic, horizon) {
  const next = createTraffic({ ...traffic, seed: seed++ });
  const judge = createJudge({ alpha: ALPHA });
  for (let requests = traffic.size; requests <= horizon; requests += traffic.size) {
    if (judge.observe(next()).verdict === "rollback") return requests;
  }
  return undefined;
}
