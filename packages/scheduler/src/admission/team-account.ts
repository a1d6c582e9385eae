import type { Amounts } from "@kedge/domain";
import { addTo, type Tally } from "./amounts.ts";

/**
 * What a team holds and has used. Use is amounts × milliseconds, each moment weighted by 2^(−age / half-life), the
 * integral kept in closed form: what is held grows it as time goes by, so nothing is computed per job. Use is linear in
 * what is held, so a start or an end may be told late: the difference is added or taken back.
 */
export class TeamAccount {
  readonly #held: Tally = {};
  readonly #used: Tally = {};
  #atMs: number | undefined;
  #changes = 0;

  /** Held now; "jobs" counts jobs. */
  get held(): Amounts {
    return this.#held;
  }

  /** Grows with each call that changes what is held. */
  get changes(): number {
    return this.#changes;
  }

  /** From `fromMs` on the amounts are held. */
  hold(amounts: Amounts, fromMs: number, halfLifeMs: number): void {
    const atMs = this.#advance(fromMs, halfLifeMs);
    this.#charge(amounts, fromMs, atMs, halfLifeMs);
    addTo(this.#held, amounts);
    this.#changes++;
  }

  /** They are held no more since `toMs`; for a start that is taken back this is when it was. */
  giveBack(amounts: Amounts, toMs: number, halfLifeMs: number): void {
    const atMs = this.#advance(toMs, halfLifeMs);
    this.#charge(amounts, atMs, toMs, halfLifeMs);
    addTo(this.#held, amounts, -1);
    this.#changes++;
  }

  /** They were held for a time that is over. */
  charge(amounts: Amounts, fromMs: number, toMs: number, halfLifeMs: number): void {
    this.#advance(toMs, halfLifeMs);
    this.#charge(amounts, fromMs, toMs, halfLifeMs);
  }

  /** Decayed use up to `nowMs`. */
  usedBy(nowMs: number, halfLifeMs: number): Amounts {
    this.#advance(nowMs, halfLifeMs);
    return this.#used;
  }

  /** Time only goes forward; returns where it stands. */
  #advance(nowMs: number, halfLifeMs: number): number {
    const atMs = this.#atMs ?? nowMs;
    this.#atMs = Math.max(atMs, nowMs);
    if (nowMs <= atMs) return atMs;
    const tau = halfLifeMs / Math.LN2;
    const kept = Math.exp((atMs - nowMs) / tau);
    for (const dimension in this.#used) this.#used[dimension] = Math.max(0, (this.#used[dimension] ?? 0) * kept);
    addTo(this.#used, this.#held, tau * (1 - kept));
    return nowMs;
  }

  /** Adds the integral of the weight from `fromMs` to `toMs`; negative when they are the other way round. */
  #charge(amounts: Amounts, fromMs: number, toMs: number, halfLifeMs: number): void {
    const tau = halfLifeMs / Math.LN2;
    const atMs = this.#atMs ?? toMs;
    addTo(this.#used, amounts, tau * (Math.exp((toMs - atMs) / tau) - Math.exp((fromMs - atMs) / tau)));
  }
}
