import { rankByDual } from "./knapsack-dual.ts";
import type { Packing } from "./knapsack-packing.ts";
import type { Item } from "./knapsack-problem.ts";
import { at, isSumWithin, isWithin } from "./knapsack-vector.ts";

/** Items on either side of the border that exchanges are made of. */
const BORDER = 32;
/** Items nearest to the border that are forced singly, and in pairs. */
const KICKED = 40;
const KICKED_IN_PAIRS = 10;

/** How many evaluations are still allowed; counted down. */
export interface Budget {
  evaluations: number;
}

/** A packing of at least the value, and maximal. See `improveBySwaps`. */
export function swap(start: Packing, budget: Budget): Packing {
  const { problem } = start;
  const ranking = rankByDual(problem, start.value());
  let best = climb(start.copy(), ranking, budget);
  if (best.count === problem.items.length) return best;
  const kicks = kicksAround(best.count, ranking);
  // Round and round, until a whole round brought nothing.
  for (let turn = 0, idle = 0; idle < kicks.length && budget.evaluations > 0; turn++, idle++) {
    const forced = kicks[turn % kicks.length] ?? [];
    const kicked = forced.reduce((packing, item) => kick(packing, item, ranking), best);
    const climbed = climb(kicked, ranking, budget);
    if (climbed.value() <= best.value() + problem.leastGain) continue;
    best = climbed;
    idle = -1;
  }
  return best;
}

/** What to force: the items nearest to the border one by one, then the nearest of them two by two. */
function kicksAround(border: number, ranking: readonly Item[]): Item[][] {
  const distance = (rank: number): number => Math.abs(rank + 0.5 - border);
  const ranks = ranking.map((_, rank) => rank).sort((a, b) => distance(a) - distance(b) || a - b);
  const nearest = ranks.slice(0, KICKED).flatMap((rank) => ranking[rank] ?? []);
  const paired = nearest.slice(0, KICKED_IN_PAIRS);
  const pairs = paired.flatMap((one, i) => paired.slice(0, i).map((two) => [one, two]));
  return [...nearest.map((item) => [item]), ...pairs];
}

/** A copy with the item forced to the other side, made to fit by dropping the worst in the way, and filled. */
function kick(from: Packing, forced: Item, ranking: readonly Item[]): Packing {
  const packing = from.copy();
  const { left } = packing;
  packing.flip(forced);
  for (let rank = ranking.length - 1; rank >= 0 && left.some((amount) => amount < 0); rank--) {
    const item = ranking[rank];
    if (item === undefined || item === forced || !packing.has(item)) continue;
    if (left.some((amount, i) => amount < 0 && at(item.asks, i) > 0)) packing.flip(item);
  }
  packing.fill(ranking, forced);
  return packing;
}

/** Fills up and makes the best exchange, again and again, in place. */
function climb(packing: Packing, ranking: readonly Item[], budget: Budget): Packing {
  packing.fill(ranking);
  while (budget.evaluations > 0) {
    const { flips } = bestExchange(packing, ranking, budget);
    if (flips.length === 0) break;
    for (const { item } of flips) packing.flip(item);
    packing.fill(ranking);
  }
  return packing;
}

/** An item that changes sides: what that brings and what it takes of each resource, both negative if it leaves. */
interface Flip {
  readonly item: Item;
  readonly gain: number;
  readonly takes: Float64Array;
}

interface Exchange {
  gain: number;
  flips: readonly Flip[];
}

/** The best of one for one, one for two and two for one; no flips if none brings anything. */
function bestExchange(packing: Packing, ranking: readonly Item[], budget: Budget): Exchange {
  const best: Exchange = { gain: packing.problem.leastGain, flips: [] };
  const entering = borderFlips(ranking, (item) => !packing.has(item), 1);
  const leaving = borderFlips(ranking.toReversed(), (item) => packing.has(item), -1);
  const room = packing.left.slice();
  for (const flip of leaving) {
    leaveRoom(room, packing, flip);
    const others = entering.filter(({ takes }) => isWithin(takes, room));
    budget.evaluations -= entering.length;
    tryWith({ flip, room, others, budget, best });
  }
  for (const flip of entering) {
    leaveRoom(room, packing, flip);
    tryWith({ flip, room, others: leaving, budget, best });
  }
  return best;
}

/** The first items of the ranking that qualify, as flips, best gain first. */
function borderFlips(ranking: readonly Item[], qualifies: (item: Item) => boolean, sign: 1 | -1): Flip[] {
  const flips: Flip[] = [];
  for (const item of ranking) {
    if (flips.length === BORDER) break;
    if (qualifies(item)) flips.push({ item, gain: sign * item.value, takes: sign === 1 ? item.asks : item.gives });
  }
  return flips.sort((a, b) => b.gain - a.gain || a.item.index - b.item.index);
}

/** In place, as a new array for each flip would cost more than the search. */
function leaveRoom(room: Float64Array, { left }: Packing, { takes }: Flip): void {
  for (let i = 0; i < room.length; i++) room[i] = at(left, i) - at(takes, i);
}

interface Search {
  readonly flip: Flip;
  /** What the flip leaves of each resource; negative where others have to leave. */
  readonly room: Float64Array;
  /** Of the other side, best gain first. */
  readonly others: readonly Flip[];
  readonly budget: Budget;
  /** Replaced by what is better. */
  readonly best: Exchange;
}

/** Tries the flip with every one and every two of the others that would be better than the best so far. */
function tryWith({ flip, room, others, budget, best }: Search): void {
  for (const [i, first] of others.entries()) {
    const gain = flip.gain + first.gain;
    if (gain > best.gain && isWithin(first.takes, room)) Object.assign(best, { gain, flips: [flip, first] });
    const second = partnerOf(first, i, { flip, room, others, budget, best });
    if (second === undefined) continue;
    Object.assign(best, { gain: flip.gain + (first.gain + second.gain), flips: [flip, first, second] });
  }
}

/** The first one after `i`, thus the best one, that makes the exchange possible and better than the best so far. */
function partnerOf(first: Flip, i: number, { flip, room, others, budget, best }: Search): Flip | undefined {
  for (let k = i + 1; k < others.length; k++) {
    const second = others[k] as Flip;
    if (flip.gain + (first.gain + second.gain) <= best.gain) return undefined;
    budget.evaluations--;
    if (isSumWithin(first.takes, second.takes, room)) return second;
  }
  return undefined;
}
