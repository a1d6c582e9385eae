/** At most so many a minute, and as many at once (a token bucket). Times are monotonic. */
export class RateLimit {
  readonly #perMinute: number;
  #tokens: number;
  #atMs: number;

  constructor(perMinute: number, nowMs: number) {
    this.#perMinute = perMinute;
    this.#tokens = perMinute;
    this.#atMs = nowMs;
  }

  /** Takes one and returns 0, or takes none and returns the milliseconds until there is one. */
  take(nowMs: number): number {
    const perMs = this.#perMinute / 60_000;
    this.#tokens = Math.min(this.#perMinute, this.#tokens + (nowMs - this.#atMs) * perMs);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return Math.ceil((1 - this.#tokens) / perMs);
    this.#tokens -= 1;
    return 0;
  }
}
