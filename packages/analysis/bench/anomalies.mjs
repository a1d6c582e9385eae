// The anomaly detector beside simple ones, on labelled seeded series of 14 families. The threshold of each detector is
// chosen on one half of the series (seed) and judged on the other (seed + 1).
// Usage: node -C kedge-source bench/anomalies.mjs [series a family=6] [seed=1]
import { ALARM_SCORE, createAnomalyDetector } from "@kedge/analysis";
import { labelledSeries } from "./anomaly-families.mjs";
import { NAB_PROFILES, nabScore, probation } from "./nab-score.mjs";
import { ewmaChart, rollingSigma, staticThreshold } from "./simple-detectors.mjs";

/** A detection so many rows after the end of an event still counts as one of it; after that, for a while, as neither. */
const GRACE_ROWS = 15;
const AFTERMATH_ROWS = 150;
/** False alarms closer than this are one. */
const SAME_ALARM_ROWS = 100;
const THRESHOLDS = Array.from({ length: 64 }, (_, i) => 0.25 + i / 100);

const perFamily = Number(process.argv[2] ?? 6);
const seed = Number(process.argv[3] ?? 1);
const choosing = labelledSeries(perFamily, seed);
const judging = labelledSeries(perFamily, seed + 1);
const kedge = () => {
  const detector = createAnomalyDetector();
  return (time, value) => detector.update(time, value).score;
};
const DETECTORS = {
  kedge,
  "rolling 3-sigma": () => rollingSigma(300),
  "EWMA chart": ewmaChart,
  "static threshold": staticThreshold,
};

const count = (series) => series.reduce((sum, { events }) => sum + events.length, 0);
console.log(
  `${judging.length} series, ${count(judging)} events; causal, thresholds from ${choosing.length} other series\n`,
);
console.log(`${"".padEnd(18)} precision recall   F1  delay | NAB: standard  low FP  low FN`);
let ours;
for (const [name, create] of Object.entries(DETECTORS)) {
  const chosen = scored(choosing, create);
  const judged = scored(judging, create);
  const threshold = best(THRESHOLDS, (each) => tally(chosen, each).f1);
  const { precision, recall, f1, delay } = tally(judged, threshold);
  const nab = Object.values(NAB_PROFILES).map((profile) => {
    const nabThreshold = best(THRESHOLDS, (each) => nabScore(chosen, each, profile));
    return nabScore(judged, nabThreshold, profile).toFixed(1).padStart(7);
  });
  const figures = [precision, recall, f1].map((part) => part.toFixed(2).padStart(6)).join(" ");
  console.log(`${name.padEnd(18)}   ${figures} ${String(delay).padStart(6)} |       ${nab.join(" ")}`);
  ours ??= judged;
}

console.log(`\nkedge at its own alarm score (${ALARM_SCORE}), family by family`);
for (const family of new Set(ours.map((series) => series.family))) {
  const part = ours.filter((series) => series.family === family);
  const { found, events, falseAlarms, delay } = tally(part, ALARM_SCORE);
  const rows = part.reduce((sum, { scores }) => sum + scores.length, 0);
  console.log(
    `${family.padEnd(30)} ${found} of ${events} found, delay ${delay}; ${falseAlarms} false alarms in ${rows} rows`,
  );
}
const total = tally(ours, ALARM_SCORE);
console.log(
  `all: precision ${total.precision.toFixed(2)}, recall ${total.recall.toFixed(2)}, F1 ${total.f1.toFixed(2)}`,
);
if (!(total.recall > 0.5)) throw new Error("the detector found less than half of the events: it does not work");
printCost();

/** The series with a detector's scores and the windows NAB would give them: a tenth of the rows, around the events' starts. */
function scored(series, create) {
  return series.map((each) => {
    const update = create();
    const scores = each.points.map(([time, value]) => update(time, value));
    const rows = scores.length;
    const half = Math.floor((0.1 * rows) / each.events.length / 2);
    const windows = each.events.map(([first]) => [Math.max(0, first - half), Math.min(rows - 1, first + half)]);
    return { ...each, scores, windows };
  });
}

function tally(series, threshold) {
  let found = 0;
  let falseAlarms = 0;
  const delays = [];
  for (const each of series) {
    const detected = detections(each, threshold);
    found += detected.delays.length;
    falseAlarms += detected.falseAlarms;
    delays.push(...detected.delays);
  }
  const events = count(series);
  const precision = found / (found + falseAlarms) || 0;
  const recall = found / events || 0;
  const f1 = (2 * found) / (found + falseAlarms + events) || 0;
  const delay = delays.sort((a, b) => a - b)[delays.length >> 1] ?? "-";
  return { found, events, falseAlarms, precision, recall, f1, delay };
}

/** Rows from each found event's start to its first detection, and how often there was an alarm for nothing. */
function detections({ scores, events }, threshold) {
  const first = new Map();
  let falseAlarms = 0;
  let last = Number.NEGATIVE_INFINITY;
  for (let row = probation(scores.length); row < scores.length; row++) {
    if (!(scores[row] >= threshold)) continue;
    const event = events.find(([from, to]) => row >= from && row <= to + AFTERMATH_ROWS);
    if (event && row <= event[1] + GRACE_ROWS && !first.has(event)) first.set(event, row - event[0]);
    if (!event && row - last > SAME_ALARM_ROWS) falseAlarms++;
    last = row;
  }
  return { delays: [...first.values()], falseAlarms };
}

function best(candidates, worth) {
  return candidates.reduce((a, b) => (worth(b) > worth(a) ? b : a));
}

function printCost() {
  const detector = createAnomalyDetector();
  const { points } = judging[0];
  const rounds = 10;
  const started = process.cpuUsage();
  for (let round = 0; round < rounds; round++) {
    for (const [time, value] of points) detector.update(time + round * points.length * 300, value);
  }
  const microseconds = process.cpuUsage(started).user / (rounds * points.length);
  console.log(
    `\n${microseconds.toFixed(1)} µs of CPU a point, ${(detector.state().length / 1024).toFixed(0)} KiB of state`,
  );
}
