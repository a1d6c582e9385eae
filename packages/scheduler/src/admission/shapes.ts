import type { Amounts } from "@kedge/domain";
import { requestAmounts } from "@kedge/domain";
import type { Demand } from "../demand.ts";

/** Demands of one shape fit the same nodes. Compared by identity. */
export interface Shape {
  readonly id: number;
  /** All but the amounts: of two shapes of a kind, one that asks no less of anything fits nowhere where the other does not. */
  readonly kind: string;
  /** By dimension, with "gpu.count", "gpu.share_milli" and "gpu.memory_mib" each by itself. */
  readonly asked: Amounts;
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
    const entry = known ?? { shape: shapeOf(demand, this.#made++), users: 0 };
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

/** Tells whether one asks at least as much of everything as another of its kind. */
export function asksNoLess({ asked }: Shape, than: Shape): boolean {
  for (const dimension in than.asked) if ((asked[dimension] ?? 0) < (than.asked[dimension] ?? 0)) return false;
  return true;
}

/** Equal for demands that fit the same nodes; what only decides which of them is best is left out. */
function shapeKey({ resources, placement, runtime = 0, spreadKey }: Demand): string {
  return JSON.stringify([resources, placement, runtime, spreadKey]);
}

function shapeOf({ resources, placement, runtime = 0, spreadKey }: Demand, id: number): Shape {
  const { count = 0, shareMilli = 0, memoryMib = 0, model = "" } = resources?.gpu ?? {};
  return {
    id,
    kind: JSON.stringify([placement, runtime, spreadKey, model, count > 0]),
    asked: {
      ...requestAmounts(resources),
      "gpu.count": count,
      "gpu.share_milli": count > 0 ? 0 : shareMilli,
      "gpu.memory_mib": memoryMib,
    },
    isRelational: isRelational(placement),
  };
}

function isRelational(placement: Demand["placement"]): boolean {
  const workloads = placement?.workloads ?? [];
  return placement?.spread !== undefined || workloads.some(({ required, apart }) => required && !apart);
}
