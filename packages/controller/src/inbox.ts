import { KedgeError } from "@kedge/domain";

interface Entry<T> {
  readonly value: T;
  readonly settle: () => void;
  readonly giveUp: (error: Error) => void;
}

/**
 * What has arrived from nodes and is not yet part of the document it is about. Whoever put it in waits until it is, so that
 * it is acknowledged to the stream only then.
 */
export class Inbox<T> {
  readonly #byKey = new Map<string, Entry<T>[]>();

  /**
   * Adds something for a document; resolves once a document that includes it is stored, or it is known to be pointless.
   *
   * @throws KedgeError CANCELLED when the inbox is cleared before that.
   */
  put(key: string, value: T): Promise<void> {
    return new Promise((resolve, reject) => {
      const entries = this.#byKey.get(key) ?? [];
      entries.push({ value, settle: resolve, giveUp: reject });
      this.#byKey.set(key, entries);
    });
  }

  /** What waits for a document, in order of arrival; it stays until settled. */
  peek(key: string): readonly T[] {
    return (this.#byKey.get(key) ?? []).map((entry) => entry.value);
  }

  /** Gives all up; unacknowledged, it comes again to whoever reads next. */
  clear(): void {
    const waiting = [...this.#byKey.values()].flat();
    this.#byKey.clear();
    for (const entry of waiting) entry.giveUp(new KedgeError("CANCELLED", "the controller no longer takes messages"));
  }

  /** Ends the wait of the first `count` of a document. */
  settle(key: string, count: number): void {
    const entries = this.#byKey.get(key) ?? [];
    for (const entry of entries.splice(0, count)) entry.settle();
    if (entries.length === 0) this.#byKey.delete(key);
  }
}
