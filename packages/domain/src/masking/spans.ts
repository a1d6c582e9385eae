/** A part of a stream, from `start` up to but without `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Parts of a stream in the order of their ends; those that overlap are one, those that only touch are two. */
export class Spans {
  #list: Span[] = [];

  get list(): readonly Span[] {
    return this.#list;
  }

  /** @param end not less than that of any part before */
  add(start: number, end: number): void {
    let least = start;
    for (let last = this.#list.at(-1); last !== undefined && last.end > least; last = this.#list.at(-1)) {
      least = Math.min(least, last.start);
      this.#list.pop();
    }
    this.#list.push({ start: least, end });
  }

  /** Forgets the parts that end at `place` or before. */
  dropUntil(place: number): void {
    if (this.#list.length > 0) this.#list = this.#list.filter(({ end }) => end > place);
  }

  clear(): void {
    this.#list = [];
  }
}

/** Two lists of parts as one. */
export function mergeSpans(a: Spans, b: Spans): readonly Span[] {
  if (a.list.length === 0) return b.list;
  if (b.list.length === 0) return a.list;
  const merged = new Spans();
  for (const { start, end } of [...a.list, ...b.list].sort((x, y) => x.end - y.end)) merged.add(start, end);
  return merged.list;
}
