import type { Holds } from "./holds.ts";
import { asksNoLess, type Shape } from "./shapes.ts";
import type { Unit } from "./unit.ts";

interface Failure {
  readonly limitMs: number;
  /** Jobs placed in the pass so far. */
  readonly placed: number;
  /** Of the member that found no room. */
  readonly shape: Shape;
}

/** Failures remembered of one kind of shape; the smallest ones tell most. */
const MAX_PER_KIND = 32;

/**
 * What found no room in this pass. Room only goes while a pass places, so what failed fails again, and so does what asks
 * no less of anything and runs at least as long (or gets through the same holds): thousands of like jobs cost one
 * placement.
 */
export class Failures {
  readonly #holds: Holds;
  readonly #nowMs: number;
  /** Of single jobs, by kind. */
  readonly #singles = new Map<string, Failure[]>();
  readonly #gangs = new Map<string, Failure>();

  constructor(holds: Holds, nowMs: number) {
    this.#holds = holds;
    this.#nowMs = nowMs;
  }

  /** The member that is known to find no room; `placed` as for `note`. */
  unfit(unit: Unit, placed: number): string | undefined {
    const { members } = unit;
    const gang = members.length === 1 ? undefined : this.#gangs.get(unit.shapes);
    const unfit =
      gang !== undefined && this.#holdsFor(gang, unit, placed)
        ? (members.find(({ shape }) => shape === gang.shape) ?? members[0])
        : members.find(({ shape }) => this.#failsAlone(shape, unit, placed));
    return unfit?.job.name;
  }

  /** Placing a unit failed, for want of room for the named member. */
  note(unit: Unit, placed: number, name: string): void {
    const member = unit.members.find(({ job }) => job.name === name) ?? unit.members[0];
    if (member === undefined) return;
    const { shape } = member;
    const failure = { limitMs: unit.limitMs, placed, shape };
    if (unit.members.length > 1) {
      this.#gangs.set(unit.shapes, failure);
      return;
    }
    const others = this.#singles.get(shape.kind) ?? [];
    const kept = others.filter((other) => other.limitMs < failure.limitMs || !asksNoLess(other.shape, shape));
    this.#singles.set(shape.kind, [failure, ...kept].slice(0, MAX_PER_KIND));
  }

  /** Room has come back. */
  clear(): void {
    this.#singles.clear();
    this.#gangs.clear();
  }

  #failsAlone(shape: Shape, unit: Unit, placed: number): boolean {
    const isGang = unit.members.length > 1;
    if (isGang && shape.isRelational) return false;
    const known = this.#singles.get(shape.kind) ?? [];
    return known.some((failure) => asksNoLess(shape, failure.shape) && this.#holdsFor(failure, unit, placed));
  }

  #holdsFor(failure: Failure, unit: Unit, placed: number): boolean {
    if (failure.placed !== placed && unit.members.some(({ shape }) => shape.isRelational)) return false;
    return unit.limitMs >= failure.limitMs || this.#passable(unit.limitMs) === this.#passable(failure.limitMs);
  }

  /** Longer limits pass fewer holds, and only the same ones: as many are the same. */
  #passable(limitMs: number): number {
    return this.#holds.size === 0 ? 0 : this.#holds.passable(this.#nowMs + limitMs).length;
  }
}
