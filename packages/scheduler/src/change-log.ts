/**
 * Which slots changed when, as far back as a few changes for each slot; beyond that readers look at everything, which is
 * no dearer then.
 */
export class ChangeLog {
  #log = new Int32Array(64);
  /** By slot, the number of its newest change. */
  #newest = new Float64Array(64);
  #count = 0;

  /** Changes so far. */
  get count(): number {
    return this.#count;
  }

  note(slot: number): void {
    if (slot >= this.#newest.length) this.#grow(slot + 1);
    this.#log[this.#count % this.#log.length] = slot;
    this.#newest[slot] = this.#count;
    this.#count++;
  }

  *#read(change: number): Iterable<number> {
    for (let i = change; i < this.#count; i++) {
      const slot = this.#log[i % this.#log.length] ?? 0;
      if (this.#newest[slot] === i) yield slot;
    }
  }

  /** Slots changed from this change on, each once; undefined when that is too long ago. */
  since(change: number): Iterable<number> | undefined {
    return this.#count - change > this.#log.length ? undefined : this.#read(change);
  }

  /** Forgets all changes by starting anew far ahead: readers that saw less look at everything. */
  forget(): void {
    this.#count += this.#log.length + 1;
  }

  #grow(slots: number): void {
    const size = 2 ** Math.ceil(Math.log2(slots + 1));
    const newest = new Float64Array(size);
    newest.set(this.#newest);
    this.#newest = newest;
    this.#log = new Int32Array(size * 2);
    this.forget();
  }
}
