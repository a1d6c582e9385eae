import type { ImportError } from "../../import-report.ts";

const MAX_PROBLEMS = 100;

/** Lines and columns of offsets in a text. */
export class Places {
  readonly #lineStarts: number[] = [0];

  constructor(source: string) {
    for (const match of source.matchAll(/\r\n|\r|\n/g)) this.#lineStarts.push(match.index + match[0].length);
  }

  /** Both from 1. */
  of(offset: number): { readonly line: number; readonly column: number } {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#lineStarts[low] ?? 0) + 1 };
  }
}

/** Collects what is wrong with a file; past a hundred it stops taking notice. */
export class Problems {
  readonly #places: Places;
  readonly #found: { readonly message: string; readonly at: number }[] = [];

  constructor(places: Places) {
    this.#places = places;
  }

  add(message: string, at: number): void {
    if (this.#found.length < MAX_PROBLEMS) this.#found.push({ message, at });
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** In the order of the file, each once. */
  list(): ImportError[] {
    const sorted = [...this.#found].sort((a, b) => a.at - b.at);
    const seen = new Set<string>();
    return sorted.flatMap(({ message, at }) => {
      const key = `${at} ${message}`;
      if (seen.has(key)) return [];
      seen.add(key);
      return [{ ...this.#places.of(at), message }];
    });
  }
}
