import type { RebalanceBoard, Step } from "./rebalance-board.ts";
import { type Bundle, bundlesOf } from "./rebalance-bundles.ts";
import type { Fragmentation } from "./rebalance-measure.ts";
import { RebalanceTargets } from "./rebalance-targets.ts";

/** So many bundles are tried before a step is settled, and so many in all. */
const TRIED_AT_ONCE = 64;
const TRIED_IN_ALL = 8192;
/** Gains below it are rounding. */
const LEAST_GAIN = 1e-9;

/** A bundle with targets for its pieces and what moving it gains per move. */
export interface Trial {
  readonly bundle: Bundle;
  readonly steps: readonly Step[];
  readonly gain: number;
  readonly freesDevices: boolean;
}

/** Finds the moves that gain most, one bundle after the other; see `planRebalance`. */
export class RebalanceSearch {
  readonly #board: RebalanceBoard;
  readonly #targets: RebalanceTargets;
  readonly #bundles = new Map<string, Set<Bundle>>();
  readonly #left = new Set<string>();
  readonly #most: number;
  #tried = 0;
  #hasMoved = false;

  constructor(board: RebalanceBoard, most: number) {
    this.#board = board;
    this.#targets = new RebalanceTargets(board);
    this.#most = most;
    for (const nodeId of board.sources()) this.#refresh(nodeId);
  }

  /** The best bundle of at most `most` pieces; undefined when nothing helps any more. */
  next(most: number): Trial | undefined {
    for (;;) {
      const bundles = this.#mostPromising(most);
      if (bundles.length === 0 && !this.#startAgain()) return undefined;
      let best: Trial | undefined;
      for (const bundle of bundles) {
        if ((best?.gain ?? 0) >= bundle.promise) break;
        if (++this.#tried > TRIED_IN_ALL) return best;
        const trial = this.#try(bundle);
        if (trial === undefined) this.#bundles.get(bundle.nodeId)?.delete(bundle);
        else if (best === undefined || trial.gain > best.gain) best = trial;
      }
      if (best !== undefined) return best;
    }
  }

  /** Makes the moves on the board for good. */
  commit({ bundle, steps }: Trial): void {
    for (const step of steps) this.#board.apply(step);
    this.#hasMoved = true;
    this.#left.add(bundle.nodeId);
    this.#targets.sort();
    for (const nodeId of new Set([bundle.nodeId, ...steps.map(({ to }) => to.id)])) this.#refresh(nodeId);
  }

  /** Moves made since may have made use of what gained nothing; false when there were none. */
  #startAgain(): boolean {
    if (!this.#hasMoved) return false;
    this.#hasMoved = false;
    for (const nodeId of this.#board.sources()) this.#refresh(nodeId);
    return true;
  }

  #refresh(nodeId: string): void {
    this.#bundles.set(nodeId, new Set(bundlesOf(this.#board, nodeId, this.#most)));
  }

  #mostPromising(most: number): Bundle[] {
    const top: Bundle[] = [];
    for (const bundles of this.#bundles.values()) {
      for (const bundle of bundles) {
        if (bundle.pieces.length > most) continue;
        const last = top.length < TRIED_AT_ONCE ? undefined : top.at(-1);
        if (last === undefined || isMorePromising(bundle, last)) insert(top, bundle);
      }
    }
    return top;
  }

  #try(bundle: Bundle): Trial | undefined {
    if (bundle.pieces.length > 1) return this.#assess(bundle, () => this.#moveAll(bundle));
    for (const step of bundle.pieces.flatMap((piece) => this.#targets.find(piece, this.#left))) {
      const trial = this.#assess(bundle, () => [this.#apply(step)]);
      if (trial !== undefined) return trial;
    }
    return undefined;
  }

  /** What moves on the board come to; they are taken back. Undefined when they do not help, or do harm. */
  #assess(bundle: Bundle, move: () => Step[]): Trial | undefined {
    const { tally } = this.#board;
    const before = tally.value;
    const steps = move();
    const after = tally.value;
    const isSound = steps.length === bundle.pieces.length && this.#keepsCompany(bundle, steps);
    for (const step of steps.toReversed()) this.#board.undo(step);
    const gain = (tally.score(before) - tally.score(after)) / bundle.pieces.length;
    if (!isSound || !isNoWorse(before, after) || gain <= LEAST_GAIN) return undefined;
    return { bundle, steps, gain, freesDevices: after.freeDevices > before.freeDevices };
  }

  /** Moves the pieces one after the other, each to its best target, as far as there are any. */
  #moveAll(bundle: Bundle): Step[] {
    const steps: Step[] = [];
    for (const piece of bundle.pieces) {
      const [step] = this.#targets.find(piece, this.#left);
      if (step === undefined) return steps;
      steps.push(this.#apply(step));
    }
    return steps;
  }

  #apply(step: Step): Step {
    this.#board.apply(step);
    return step;
  }

  #keepsCompany(bundle: Bundle, steps: readonly Step[]): boolean {
    const nodes = [bundle.nodeId, ...steps.map(({ to }) => to.id)];
    return nodes.every((nodeId) => this.#board.keepsCompany(nodeId));
  }
}

function isNoWorse(before: Fragmentation, after: Fragmentation): boolean {
  return (
    after.fragmentation <= before.fragmentation + LEAST_GAIN &&
    after.emptyNodes >= before.emptyNodes &&
    after.freeDevices >= before.freeDevices
  );
}

function insert(top: Bundle[], bundle: Bundle): void {
  let at = top.length;
  while (at > 0 && isMorePromising(bundle, top[at - 1] ?? bundle)) at--;
  top.splice(at, 0, bundle);
  if (top.length > TRIED_AT_ONCE) top.pop();
}

function isMorePromising(a: Bundle, b: Bundle): boolean {
  if (a.promise !== b.promise) return a.promise > b.promise;
  if (a.pieces.length !== b.pieces.length) return a.pieces.length < b.pieces.length;
  if (a.nodeId !== b.nodeId) return a.nodeId < b.nodeId;
  return (a.pieces[0]?.replica.key ?? "") < (b.pieces[0]?.replica.key ?? "");
}
