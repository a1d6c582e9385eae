import type { Holds } from "./holds.ts";
import type { Shape } from "./shapes.ts";
import type { Unit } from "./unit.ts";

interface Failure {
  readonly limitMs: number;
  /** Jobs placed in the pass so far. */
  readonly placed: number;
  /** Of the member that found no room. */
  readonly shape: Shape | undefined;
}

/**
 * What found no room in this pass. Room only goes while a pass places, so what failed fails again, and so does what is of
 * the same shape and runs at least as long (or gets through the same holds): thousands of equal jobs cost one placement.
 */
export class Failures {
  readonly #holds: Holds;
  readonly #nowMs: number;
  readonly #byShapes = new Map<string, Failure>();

  constructor(holds: Holds, nowMs: number) {
    this.#holds = holds;
    this.#nowMs = nowMs;
  }

  /** The member that is known to find no room; `placed` as for `note`. */
  unfit(unit: Unit, placed: number): string | undefined {
    const failure = this.#of(unit.shapes, unit, placed);
    const gangAlone = unit.members.length > 1 && failure === undefined;
    const member = gangAlone
      ? unit.members.find(({ shape }) => !shape.isRelational && this.#of(`${shape.id}`, unit, placed) !== undefined)
      : failure && (unit.members.find(({ shape }) => shape === failure.shape) ?? unit.members[0]);
    return member?.job.name;
  }

  /** Placing a unit failed, for want of room for the named member. */
  note(unit: Unit, placed: number, name: string): void {
    const shape = unit.members.find(({ job }) => job.name === name)?.shape;
    this.#byShapes.set(unit.shapes, { limitMs: unit.limitMs, placed, shape });
  }

  /** Room has come back. */
  clear(): void {
    this.#byShapes.clear();
  }

  #of(shapes: string, unit: Unit, placed: number): Failure | undefined {
    const failure = this.#byShapes.get(shapes);
    if (failure === undefined || (failure.placed !== placed && isRelational(unit))) return undefined;
    const isSame = unit.limitMs >= failure.limitMs || this.#passable(unit.limitMs) === this.#passable(failure.limitMs);
    return isSame ? failure : undefined;
  }

  /** Longer limits pass fewer holds, and only the same ones: as many are the same. */
  #passable(limitMs: number): number {
    return this.#holds.size === 0 ? 0 : this.#holds.passable(this.#nowMs + limitMs).length;
  }
}

const isRelational = ({ members }: Unit): boolean => members.some(({ shape }) => shape.isRelational);
