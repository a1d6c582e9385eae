import { isFirst } from "./ranking.ts";
import type { Unit } from "./unit.ts";

interface Bucket {
  readonly units: readonly Unit[];
  next: number;
  /** Of the next unit, as it was when last computed: never too low. */
  density: number;
}

/**
 * Gives units by density, the highest first, while densities fall as room goes. Units of one team and shape keep their
 * order, so only the first of each such bucket is compared; a density is computed anew only when its bucket comes up (lazy
 * greedy; Minoux 1978). Equal densities: who waited longer. O(log buckets) for each unit, and one more for each time a
 * bucket is put back.
 */
export class DensityQueue {
  readonly #densityOf: (unit: Unit) => number;
  readonly #heap: Bucket[] = [];

  /** @param units in order of value. */
  constructor(units: Iterable<Unit>, densityOf: (unit: Unit) => number) {
    this.#densityOf = densityOf;
    for (const bucket of bucketsOf(units)) this.#push({ units: bucket, next: 0, density: Number.POSITIVE_INFINITY });
  }

  /** Takes the unit that is densest now; undefined when there is none left. */
  next(): Unit | undefined {
    for (let bucket = this.#heap[0]; bucket !== undefined; bucket = this.#heap[0]) {
      const unit = bucket.units[bucket.next];
      const density = unit === undefined ? 0 : this.#densityOf(unit);
      if (unit !== undefined && density === bucket.density) {
        bucket.next++;
        this.#sink(0);
        return unit;
      }
      bucket.density = density;
      if (unit === undefined) this.#removeFirst();
      else this.#sink(0);
    }
    return undefined;
  }

  #push(bucket: Bucket): void {
    this.#heap.push(bucket);
    for (let i = this.#heap.length - 1; i > 0; i = (i - 1) >> 1) if (!this.#swapIfBefore(i, (i - 1) >> 1)) return;
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #sink(start: number): void {
    for (let i = start; ; ) {
      const left = 2 * i + 1;
      const child = this.#isBefore(left + 1, left) ? left + 1 : left;
      if (!this.#swapIfBefore(child, i)) return;
      i = child;
    }
  }

  #swapIfBefore(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined || !this.#isBefore(a, b)) return false;
    this.#heap[a] = second;
    this.#heap[b] = first;
    return true;
  }

  #isBefore(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return false;
    if (first.density !== second.density) return first.density > second.density;
    const [one, other] = [first.units[first.next], second.units[second.next]];
    return one !== undefined && (other === undefined || isFirst(one.first, other.first) < 0);
  }
}

/** Units of one team and shape together, in the order they came. */
function bucketsOf(units: Iterable<Unit>): Iterable<Unit[]> {
  const byTeam = new Map<string, Map<string, Unit[]>>();
  for (const unit of units) {
    const byShape = byTeam.get(unit.team) ?? new Map<string, Unit[]>();
    byTeam.set(unit.team, byShape);
    const bucket = byShape.get(unit.shapes);
    if (bucket === undefined) byShape.set(unit.shapes, [unit]);
    else bucket.push(unit);
  }
  return [...byTeam.values()].flatMap((byShape) => [...byShape.values()]);
}
