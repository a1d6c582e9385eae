import type { Demand } from "../demand.ts";

/** Demands of one shape fit the same nodes. Compared by identity. */
export interface Shape {
  readonly id: number;
  /** What is placed in a pass can make room for it, not only take it: it wants to be near others, or evenly spread. */
  readonly isRelational: boolean;
}

interface Entry {
  readonly shape: Shape;
  users: number;
}

/** The shapes of what waits; one that nobody has any more is forgotten. */
export class Shapes {
  readonly #entries = new Map<string, Entry>();
  #made = 0;

  /** The shape of a demand, for one more user. */
  acquire(demand: Demand): Shape {
    const key = shapeKey(demand);
    const known = this.#entries.get(key);
    const entry = known ?? { shape: { id: this.#made++, isRelational: isRelational(demand) }, users: 0 };
    entry.users++;
    if (known === undefined) this.#entries.set(key, entry);
    return entry.shape;
  }

  /** Takes back one `acquire` of an equal demand. */
  release(demand: Demand): void {
    const key = shapeKey(demand);
    const entry = this.#entries.get(key);
    if (entry !== undefined && --entry.users === 0) this.#entries.delete(key);
  }
}

/** Equal for demands that fit the same nodes; what only decides which of them is best is left out. */
function shapeKey({ resources, placement, runtime = 0, spreadKey }: Demand): string {
  return JSON.stringify([resources, placement, runtime, spreadKey]);
}

function isRelational({ placement }: Demand): boolean {
  return (
    placement?.spread !== undefined || (placement?.workloads ?? []).some(({ required, apart }) => required && !apart)
  );
}
