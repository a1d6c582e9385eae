import { KedgeError } from "@kedge/domain";

/** Bounds of an {@link Admission}. */
export interface AdmissionOptions {
  /** Requests worked on at once. */
  readonly concurrency: number;
  /** Requests that may wait beyond those. */
  readonly queueLimit: number;
}

/** Lets a bounded number of requests in, and a bounded number of those work at once, first come first served. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #waiting = new Set<() => void>();
  #inside = 0;
  #working = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Requests let in and not left yet. */
  get inside(): number {
    return this.#inside;
  }

  /** Takes a place. Returns how to give it back; doing so twice is harmless. Throws KedgeError QUEUE_FULL. */
  enter(): () => void {
    if (this.#inside >= this.#options.concurrency + this.#options.queueLimit) {
      throw new KedgeError("QUEUE_FULL", `${this.#inside} requests are waiting or in work; retry later`);
    }
    this.#inside++;
    return once(() => {
      this.#inside--;
    });
  }

  /** Waits for the right to work. Returns how to give it back. Rejects with the signal's reason when it aborts first. */
  async turn(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#working < this.#options.concurrency) this.#working++;
    else await this.#queue(signal);
    return once(() => this.#handOver());
  }

  #queue(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(onTurn);
        reject(signal.reason);
      };
      const onTurn = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#waiting.add(onTurn);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** The right to work goes to the longest waiting, so that newcomers cannot overtake. */
  #handOver(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#working--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}
