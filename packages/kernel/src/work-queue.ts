/**
 * Keys that wait to be reconciled. A key added many times while it waits comes out once; a key added while it is
 * being worked on comes out again afterwards, never twice at once.
 */
export class WorkQueue {
  readonly #ready = new Set<string>();
  readonly #active = new Set<string>();
  readonly #again = new Set<string>();
  #wake: (() => void) | undefined;
  #closed = false;

  /** Keys waiting, those being worked on not counted. */
  get size(): number {
    return this.#ready.size;
  }

  /** Adds a key. Does nothing once closed. */
  add(key: string): void {
    if (this.#closed) return;
    if (this.#active.has(key)) this.#again.add(key);
    else this.#ready.add(key);
    this.#wake?.();
  }

  /** The next key, in order of arrival, or undefined once closed. Call `done` for every key taken. */
  async take(): Promise<string | undefined> {
    while (!this.#closed) {
      const [key] = this.#ready;
      if (key !== undefined) {
        this.#ready.delete(key);
        this.#active.add(key);
        return key;
      }
      await this.#arrival();
    }
    return undefined;
  }

  /** Ends the work on a key; it is queued again when it was added meanwhile. */
  done(key: string): void {
    this.#active.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  /** Ends all waits; keys still queued are dropped. */
  close(): void {
    this.#closed = true;
    this.#ready.clear();
    this.#again.clear();
    this.#wake?.();
  }

  #arrival(): Promise<void> {
    const previous = this.#wake;
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        previous?.();
        resolve();
      };
    });
  }
}
