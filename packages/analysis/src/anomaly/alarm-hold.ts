import type { Arena } from "./arena.ts";

/** The surprise that is an alarm, and scores 0.5. */
export const ALARM_SURPRISE = 7;
/** An alarm is new only when it is so much stronger than the one that is held. */
const STRONGER = 1.1;
/** What is held back shows no more than this, just below an alarm. */
const HELD_BACK_LIMIT = 6;

/**
 * Refractory period: remembers the strongest recent surprise, fading, and holds back whatever is not clearly stronger.
 */
export class AlarmHold {
  readonly #held: Float64Array;
  readonly #fade: number;

  constructor(arena: Arena, points: number) {
    this.#held = arena.take(1);
    this.#fade = 1 - 1 / points;
  }

  /** The surprise as it is to be shown: itself, or half of it, and never an alarm, while something as strong is held. */
  update(surprise: number): number {
    const last = this.#held[0] ?? 0;
    const faded = last * this.#fade;
    const isFirstAlarm = surprise >= ALARM_SURPRISE && last < ALARM_SURPRISE;
    const isNew = isFirstAlarm || surprise >= STRONGER * faded;
    // What goes on keeps the hold up, but does not raise it: what grows slowly must break through in the end.
    this.#held[0] = isNew ? surprise : Math.max(faded, Math.min(last, surprise));
    return isNew ? surprise : Math.min(HELD_BACK_LIMIT, surprise / 2);
  }
}
