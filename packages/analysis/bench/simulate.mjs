// The judge against simulated traffic, beside the information limit and beside how three other judges decide.
// Usage: node -C kedge-source bench/simulate.mjs [reps=150] [seed=1]
import { createJudge, informationLimit } from "@kedge/analysis";
import { kayentaIsWorse } from "./peer-judges.mjs";
import { CONDITION_NAMES } from "./simulated-traffic.mjs";
import { ALPHA, detection, PEERS, peerRollback, requestsToRollback, startAt, summary } from "./trials.mjs";

const HORIZON = 50_000;
/** Requests after which peers are given up: what Kayenta's 50 points take. */
const PEER_HORIZON = 100_000;
const reps = Number(process.argv[2] ?? 150);
const half = Math.ceil(reps / 2);
const few = Math.ceil(reps / 6);
startAt(Number(process.argv[3] ?? 1));

const LABELS = { cat: 0.5, dog: 0.3, bird: 0.2 };
const ERROR_ROWS = [
  [0.01, 0.02, 0.5],
  [0.01, 0.02, 0.1],
  [0.01, 0.05, 0.1],
  [0.001, 0.01, 0.1],
  [0.05, 0.1, 0.1],
  [0.2, 0.3, 0.1],
];
/** What a rollout tolerates by default. */
const DEFAULT_LATENCY = { latency: { tolerance: { part: 0.1, floor: 2 } } };

console.log(`alpha ${ALPHA}, looked at after every window; ${reps} repetitions of errors alone, ${few} of peers`);
errorDetection();
falseRollbacks();
latencyDetection();
labelDetection();
vectors();

/** Mean requests to rollback; peers: share rolled back, and their mean requests. */
function errorDetection() {
  console.log(
    "\nerrors, windows of 100: requests to rollback, and beside the limit; in brackets: latency and predictions judged too",
  );
  table(["errors, weight", "limit", "this judge", "× limit", ...Object.keys(PEERS)]);
  for (const [baselineRate, canaryRate, weight] of ERROR_ROWS) {
    const limit = informationLimit({ baselineRate, canaryRate, weight, alpha: ALPHA });
    const traffic = { size: 100, baselineRate, canaryRate, weight };
    const alone = detection(traffic, { limit, count: limit < 5_000 ? 2 * reps : reps });
    const all = { ...traffic, latency: "lognormal", labels: LABELS };
    const among = detection(all, { limit, count: few });
    row([
      `${baselineRate} → ${canaryRate}, ${weight}`,
      limit.toFixed(0),
      alone.mean.toFixed(0),
      `${alone.ratio} (${among.ratio})`,
      ...peerCells(traffic),
    ]);
  }
}

/** Both arms alike: every rollback is false. */
function falseRollbacks() {
  console.log(`\nfalse rollbacks within ${HORIZON} requests, windows of 100 (with all metrics 250), both arms alike`);
  table(["traffic", "this judge", ...Object.keys(PEERS)]);
  for (const [baselineRate, weight, condition] of [
    [0.001, 0.1, "drift"],
    [0.01, 0.5, "plain"],
    [0.01, 0.1, "drift"],
    [0.01, 0.1, "bursts"],
    [0.01, 0.1, "ramp and drift"],
    [0.2, 0.1, "drift"],
  ]) {
    const traffic = { size: 100, baselineRate, canaryRate: baselineRate, weight, condition };
    const { found, count } = summary(reps, () => requestsToRollback(traffic, HORIZON));
    row([
      `errors ${baselineRate}, weight ${weight}, ${condition}`,
      `${found}/${count}`,
      ...peerCells(traffic, HORIZON),
    ]);
  }
  const all = { size: 250, baselineRate: 0.01, canaryRate: 0.01, weight: 0.1, latency: "lognormal", labels: LABELS };
  for (const condition of CONDITION_NAMES) {
    const { found, count } = summary(few, () => requestsToRollback({ ...all, condition }, HORIZON));
    row([`errors, latency, predictions: ${condition}`, `${found}/${count}`, ...Object.keys(PEERS).map(() => "")]);
  }
  const latency = { size: 40, baselineRate: 0, canaryRate: 0, weight: 0.25, latency: "lognormal" };
  const alike = summary(4 * reps, () => requestsToRollback(latency, 3_000));
  console.log(`latency alone, within 3000 requests, windows of 40: ${alike.found}/${alike.count}`);
}

function peerCells(traffic, horizon = PEER_HORIZON) {
  return Object.values(PEERS).map((create) => {
    const { found, count, mean } = summary(few, () => peerRollback(create, traffic, horizon));
    return found === 0 ? "0 %" : `${((100 * found) / count).toFixed(0)} %, ${mean.toFixed(0)}`;
  });
}

/** The limit is that of the same question: a known shift of a known spread, both arms' levels unknown. */
function latencyDetection() {
  console.log("\nlatency × limit; the limit in requests; in brackets: errors of 1 % and predictions judged too");
  table(["latency, weight", "limit", "windows of 20", "of 50", "of 100"]);
  for (const [slower, weight, latency] of [
    [1.2, 0.5, "lognormal"],
    [1.2, 0.1, "lognormal"],
    [1.5, 0.1, "lognormal"],
    [1.2, 0.1, "heavy"],
  ]) {
    const limit = latencyLimit({ shift: Math.log(slower), weight, latency });
    const traffic = { baselineRate: 0, canaryRate: 0, weight, latency, slower };
    const [of20, of50, of100] = [20, 50, 100].map(
      (size) => detection({ ...traffic, size }, { limit, count: reps }).ratio,
    );
    const among = { ...traffic, size: 50, baselineRate: 0.01, canaryRate: 0.01, labels: LABELS };
    const { ratio } = detection(among, { limit, count: few });
    row([`${latency} × ${slower}, ${weight}`, limit.toFixed(0), of20, `${of50} (${ratio})`, of100]);
  }
  console.log(
    "\nwith the default tolerance, a tenth or 2 ms; medians of 50 ms, windows of 100: requests, × its own limit",
  );
  for (const [slower, weight] of [
    [1.2, 0.1],
    [1.5, 0.1],
  ]) {
    const limit = latencyLimit({ shift: Math.log(slower / 1.1), weight, latency: "lognormal" });
    const traffic = { size: 100, baselineRate: 0, canaryRate: 0, weight, latency: "lognormal", slower, median: 50 };
    const { mean, ratio } = detection(traffic, { limit, count: few, options: DEFAULT_LATENCY });
    console.log(`× ${slower}: limit ${limit.toFixed(0)}, mean ${mean.toFixed(0)}, ${ratio} ×`);
  }
}

/** log(1/α) over the information in a request about a shift of logarithms: half the shift squared, times Fisher's. */
function latencyLimit({ shift, weight, latency }) {
  // Of a normal of deviation 0.5, and of Student's t with 3 degrees of freedom (ν + 1)/(ν + 3) at scale 0.3.
  const fisher = latency === "heavy" ? 4 / 6 / 0.3 ** 2 : 1 / 0.5 ** 2;
  return Math.log(1 / ALPHA) / ((weight * (1 - weight) * shift ** 2 * fisher) / 2);
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
    const { mean, ratio } = detection(traffic, { limit, count: half });
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

function table(names) {
  row(names);
  row(names.map(() => "---"));
}

function row(cells) {
  console.log(`| ${cells.join(" | ")} |`);
}
