/** Types of the Prometheus text format that are told apart; all else is "untyped". */
export type MetricType = "counter" | "gauge" | "histogram" | "summary" | "untyped";

/** What one scrape tells of a metric. Series of different labels are added up; of a gauge, the mean is to be taken. */
export interface MetricReading {
  readonly type: MetricType;
  /** Series with a plain value, and the sum of these. */
  readonly series: number;
  readonly total: number;
  /** Of histograms and summaries. */
  readonly count: number;
  readonly sum: number;
  /** Of histograms: values at most this, by bound, the last one infinite; ascending. */
  readonly atMost: ReadonlyMap<number, number>;
  /** A line of it could not be read, or there were more than 256 bounds. */
  readonly isBroken: boolean;
}

type Part = "value" | "suffixed" | "sum" | "count" | "bucket";

interface Plain {
  series: number;
  total: number;
}

interface Draft {
  /** Under the metric's name, and under that with `_total`. */
  readonly value: Plain;
  readonly suffixed: Plain;
  isThere: boolean;
  count: number;
  sum: number;
  atMost: Map<number, number>;
  isBroken: boolean;
}

const TYPES: readonly MetricType[] = ["counter", "gauge", "histogram", "summary"];
const MAX_BOUNDS = 256;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CLOSE = 0x7d;

/**
 * Reads metrics of these names from the Prometheus text format 0.0.4 or OpenMetrics text. Linear in the text, whatever
 * stands in it; lines of other metrics are passed over unread. A counter is found with and without `_total`.
 *
 * @returns what was found, by name.
 */
export function parseExposition(text: string, names: readonly string[]): ReadonlyMap<string, MetricReading> {
  const reader = new ExpositionReader(names);
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const end = newline < 0 ? text.length : newline;
    reader.line(text, at, end);
    at = end + 1;
  }
  return reader.found();
}

class ExpositionReader {
  readonly #drafts = new Map<string, Draft>();
  /** Which metrics a sample's name belongs to, and as what. */
  readonly #parts = new Map<string, { readonly draft: Draft; readonly part: Part }[]>();
  readonly #declared = new Map<string, MetricType>();
  readonly #longest: number;

  constructor(names: readonly string[]) {
    for (const name of new Set(names)) {
      const draft: Draft = {
        value: { series: 0, total: 0 },
        suffixed: { series: 0, total: 0 },
        ...{ isThere: false, count: 0, sum: 0, atMost: new Map(), isBroken: false },
      };
      this.#drafts.set(name, draft);
      this.#part(name, draft, "value");
      this.#part(`${name}_total`, draft, "suffixed");
      for (const part of ["sum", "count", "bucket"] as const) this.#part(`${name}_${part}`, draft, part);
    }
    this.#longest = Math.max(0, ...[...this.#parts.keys()].map(({ length }) => length));
  }

  line(text: string, start: number, end: number): void {
    if (start === end) return;
    if (text.startsWith("#", start)) {
      if (text.startsWith("# TYPE ", start)) this.#type(text.slice(start, Math.min(end, start + 512)));
      return;
    }
    let nameEnd = start;
    while (nameEnd < end && nameEnd - start <= this.#longest && !isNameEnd(text.charCodeAt(nameEnd))) nameEnd++;
    const parts = this.#parts.get(text.slice(start, nameEnd));
    if (parts !== undefined) for (const each of parts) readSample(each.draft, each.part, text.slice(nameEnd, end));
  }

  found(): ReadonlyMap<string, MetricReading> {
    const found = new Map<string, MetricReading>();
    for (const [name, draft] of this.#drafts) {
      if (!draft.isThere) continue;
      const { count, sum, isBroken } = draft;
      const plain = draft.value.series > 0 ? draft.value : draft.suffixed;
      const atMost = new Map([...draft.atMost].sort(([a], [b]) => a - b));
      const type = this.#declared.get(name) ?? (atMost.size > 0 ? "histogram" : "untyped");
      found.set(name, { type, ...plain, count, sum, atMost, isBroken });
    }
    return found;
  }

  #part(sample: string, draft: Draft, part: Part): void {
    this.#parts.set(sample, [...(this.#parts.get(sample) ?? []), { draft, part }]);
  }

  #type(line: string): void {
    const [, , name = "", type = ""] = line.trim().split(/[ \t]+/, 4);
    const known = TYPES.find((each) => each === type);
    if (known === undefined) return;
    const base = name.replace(/_total$/, "");
    for (const each of [name, base, `${name}_total`]) {
      if (this.#drafts.has(each) && (each === name || !this.#declared.has(each))) this.#declared.set(each, known);
    }
  }
}

/** `rest`: what follows a sample's name. */
function readSample(draft: Draft, part: Part, rest: string): void {
  const labelsEnd = rest.startsWith("{") ? endOfLabels(rest) : 0;
  const labels = rest.slice(0, labelsEnd);
  // Quantiles of a summary cannot be added up.
  if (part === "value" && labels.includes("quantile=")) return;
  draft.isThere = true;
  const [, written = ""] = /^[ \t]*([^ \t\r]{1,64})(?=[ \t\r]|$)/.exec(rest.slice(labelsEnd, labelsEnd + 96)) ?? [];
  const value = numberOf(written);
  if (value === undefined || labelsEnd < 0) draft.isBroken = true;
  else if (part === "value" || part === "suffixed") {
    draft[part].series++;
    draft[part].total += value;
  } else if (part === "bucket") readBucket(draft, labels, value);
  else draft[part] += value;
}

function readBucket(draft: Draft, labels: string, value: number): void {
  const bound = numberOf(/[{,][ \t]*le="([^"]{1,64})"/.exec(labels)?.[1] ?? "");
  if (bound === undefined || Number.isNaN(bound) || (draft.atMost.size >= MAX_BOUNDS && !draft.atMost.has(bound))) {
    draft.isBroken = true;
    return;
  }
  draft.atMost.set(bound, (draft.atMost.get(bound) ?? 0) + value);
}

/** Index behind the closing brace; -1 without one. */
function endOfLabels(rest: string): number {
  let isQuoted = false;
  for (let i = 1; i < rest.length; i++) {
    const code = rest.charCodeAt(i);
    if (isQuoted && code === BACKSLASH) i++;
    else if (code === QUOTE) isQuoted = !isQuoted;
    else if (code === CLOSE && !isQuoted) return i + 1;
  }
  return -1;
}

function isNameEnd(code: number): boolean {
  return code === 0x7b || code === 0x20 || code === 0x09;
}

function numberOf(written: string): number | undefined {
  if (/^[+-]?inf(inity)?$/i.test(written)) return written.startsWith("-") ? Number.NEGATIVE_INFINITY : Infinity;
  if (/^nan$/i.test(written)) return Number.NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(written) ? Number(written) : undefined;
}
