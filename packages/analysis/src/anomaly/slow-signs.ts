import type { Arena } from "./arena.ts";

/** One value counts as no more than so many usual distances from the reference: a spike is not a shift. */
const SHIFT_LIMIT = 4;
/** Distance that is no evidence of a shift yet. */
const SHIFT_SLACK = 0.7;
const SHIFT_FADE = 0.97;

/** Two-sided cumulative sums of the distance from a reference (Page 1954), clipped and slowly fading. */
export class ShiftSums {
  readonly #sums: Float64Array;

  constructor(arena: Arena) {
    this.#sums = arena.take(2);
  }

  /** The sums [up, down] with one more distance, in usual distances. */
  update(distance: number): readonly [up: number, down: number] {
    const clipped = Math.max(-SHIFT_LIMIT, Math.min(SHIFT_LIMIT, distance));
    const [up = 0, down = 0] = this.#sums;
    const sums = [
      Math.max(0, SHIFT_FADE * up + clipped - SHIFT_SLACK),
      Math.max(0, SHIFT_FADE * down - clipped - SHIFT_SLACK),
    ] as const;
    this.#sums.set(sums);
    return sums;
  }
}

const SHORT_RATE = 0.12;
const LONG_RATE = 0.002;
const SHORT_LIMIT = 4;
const LONG_LIMIT = 8;
/** A step below this share of the usual one is none. */
const STILL_SHARE = 0.02;
/** A run without a step is as odd as its length times the logarithm of how often there is none; this makes it about 1. */
const STILL_UNIT = 8;

const SEEN = 0;
const LAST = 1;
const SHORT = 2;
const LONG = 3;
const STILL = 4;
const STILL_RATE = 5;

/** How much the values move from one point to the next, lately against usually. */
export class Movement {
  readonly #memory: Float64Array;

  constructor(arena: Arena) {
    this.#memory = arena.take(6);
  }

  /** With one more value: how far above usual the steps are (0: not), and how odd it is that there were none for so long. */
  update(value: number, follows: boolean): { readonly unrest: number; readonly stillness: number } {
    const memory = this.#memory;
    const [seen = 0, last = 0, short = 0, long = 0, still = 0, often = 0] = memory;
    const step = Math.abs(value - last);
    memory[SEEN] = seen + 1;
    memory[LAST] = value;
    if (seen > 0 && follows) {
      memory[SHORT] = short + SHORT_RATE * (atMost(step, SHORT_LIMIT * long) - short);
      memory[LONG] = long + Math.max(LONG_RATE, 1 / seen) * (atMost(step, LONG_LIMIT * long) - long);
      const isStill = step <= STILL_SHARE * long;
      memory[STILL] = isStill ? still + 1 : 0;
      memory[STILL_RATE] = often + Math.max(LONG_RATE, 1 / (seen + 1)) * ((isStill ? 1 : 0) - often);
    }
    const usual = memory[LONG] ?? 0;
    const unrest = usual > 0 ? Math.max(0, (memory[SHORT] ?? 0) / usual - 1) : 0;
    const oddness = -Math.log(Math.min(1, (memory[STILL_RATE] ?? 0) + 1 / (seen + 1)));
    return { unrest, stillness: ((memory[STILL] ?? 0) * oddness) / STILL_UNIT };
  }
}

/** `value`, or `limit` where there is one yet and it is lower. */
const atMost = (value: number, limit: number): number => (limit > 0 ? Math.min(value, limit) : value);
