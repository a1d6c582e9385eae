import { statfs } from "node:fs/promises";
import type { Clock } from "@kedge/kernel";

const MIB = 1024 * 1024;
const REFRESH_MS = 10_000;

/** The free space where the agent works, asked for at most every 10 s: a hanging file system must not hold heartbeats up. */
export class DiskSpace {
  readonly #folder: string;
  readonly #clock: Clock;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  #freeMib: number | undefined;

  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  /** In MiB, as it was when it was last told; undefined before that. What only root may use does not count. */
  get freeMib(): number | undefined {
    return this.#freeMib;
  }

  /** Asks again if it is time; resolves once that is known. Never throws: what cannot be told is unknown. */
  async refresh(): Promise<void> {
    const now = this.#clock.monotonic();
    if (this.#isAsking || now - this.#askedAtMs < REFRESH_MS) return;
    this.#askedAtMs = now;
    this.#isAsking = true;
    try {
      const { bavail, bsize } = await statfs(this.#folder);
      this.#freeMib = Math.floor((bavail * bsize) / MIB);
    } catch {
      this.#freeMib = undefined;
    } finally {
      this.#isAsking = false;
    }
  }
}
