import type { Samples } from "../evidence/sample-table.ts";
import type { ArmWindow, JudgeWindow, MetricValue } from "./judge-types.ts";
import { isEventCount, isMoments } from "./metric-value.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

const ABSENT = 0;
const RAW = 1;
const HISTOGRAM = 2;
const EVENTS = 3;
const MOMENTS = 4;

/** Writes a checked window. */
export function saveWindow(out: StateWriter, { seconds, weight, baseline, canary }: JudgeWindow): void {
  out.number(seconds);
  out.number(weight);
  saveArm(out, baseline);
  saveArm(out, canary);
}

/** Reads what `saveWindow` wrote. */
export function loadWindow(from: StateReader): JudgeWindow {
  return { seconds: from.number(), weight: from.number(), baseline: loadArm(from), canary: loadArm(from) };
}

function saveArm(out: StateWriter, { requests, errors, latencyMs, predictions, metrics }: ArmWindow): void {
  out.number(requests);
  out.number(errors);
  saveValue(out, latencyMs);
  out.number(predictions === undefined ? ABSENT : RAW);
  saveEntries(out, predictions ?? {}, (count) => out.number(count));
  saveEntries(out, metrics ?? {}, (value) => saveValue(out, value));
}

function loadArm(from: StateReader): ArmWindow {
  const [requests, errors] = [from.number(), from.number()];
  const latency = loadValue(from);
  const hasPredictions = from.number() !== ABSENT;
  const predictions = loadEntries(from, () => from.number());
  const metrics = loadEntries(from, () => loadValue(from) ?? []);
  return {
    requests,
    errors,
    ...(latency === undefined || isEventCount(latency) || isMoments(latency) ? {} : { latencyMs: latency }),
    ...(hasPredictions ? { predictions } : {}),
    metrics,
  };
}

function saveEntries<T>(out: StateWriter, entries: Readonly<Record<string, T>>, save: (value: T) => void): void {
  const list = Object.entries(entries);
  out.number(list.length);
  for (const [key, value] of list) {
    out.text(key);
    save(value);
  }
}

function loadEntries<T>(from: StateReader, load: () => T): Readonly<Record<string, T>> {
  return Object.fromEntries(Array.from({ length: from.count() }, () => [from.text(), load()]));
}

function saveValue(out: StateWriter, value: MetricValue | undefined): void {
  if (value === undefined) saveNumbers(out, [ABSENT]);
  else if (isEventCount(value)) saveNumbers(out, [EVENTS, value.events, value.exposure]);
  else if (isMoments(value)) saveNumbers(out, [MOMENTS, value.count, value.sum, value.sumSquares]);
  else saveSamples(out, value);
}

function saveNumbers(out: StateWriter, values: readonly number[]): void {
  for (const value of values) out.number(value);
}

function saveSamples(out: StateWriter, samples: Samples): void {
  if ("bounds" in samples) {
    out.number(HISTOGRAM);
    out.numbers(samples.bounds);
    out.numbers(samples.counts);
    return;
  }
  out.number(RAW);
  out.numbers(samples);
}

function loadValue(from: StateReader): MetricValue | undefined {
  const kind = from.number();
  if (kind === RAW) return [...from.numbers()];
  if (kind === HISTOGRAM) return { bounds: [...from.numbers()], counts: [...from.numbers()] };
  if (kind === EVENTS) return { events: from.number(), exposure: from.number() };
  if (kind === MOMENTS) return { count: from.number(), sum: from.number(), sumSquares: from.number() };
  return undefined;
}
