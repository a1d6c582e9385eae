import type { LogRecord } from "./log-line.ts";

/** Halves that wait for their other half; older ones are given up. */
const MOST_WAITING = 4_096;

/** A request and its copy, both answered. */
export interface ShadowPair {
  readonly user: LogRecord;
  readonly shadow: LogRecord;
}

/** Brings together the log lines of requests and of their copies, which may come in either order. */
export class ShadowPairs {
  readonly #waiting = new Map<string, LogRecord>();

  /** Takes a half that has a number; the pair, when the other half was there. */
  add(record: LogRecord): ShadowPair | undefined {
    const key = `${record.pid} ${record.copy?.number}`;
    const other = this.#waiting.get(key);
    if (other === undefined || other.kind === record.kind) {
      this.#waiting.set(key, record);
      const oldest = this.#waiting.keys().next();
      if (this.#waiting.size > MOST_WAITING && !oldest.done) this.#waiting.delete(oldest.value);
      return undefined;
    }
    this.#waiting.delete(key);
    return record.kind === "shadow" ? { user: other, shadow: record } : { user: record, shadow: other };
  }
}
