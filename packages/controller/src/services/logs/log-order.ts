import type { LogChunk } from "@kedge/proto";

/** A chunk, and its place in what is stored. */
export interface PlacedChunk {
  readonly chunk: LogChunk;
  readonly position: number;
}

/** Most bytes that wait for a chunk before them: more than an agent has on its way at once. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

interface TaskOrder {
  /** Number of the chunk that was given out last. */
  last: bigint;
  /** Those that came before one that they follow, by number. */
  readonly held: Map<bigint, PlacedChunk>;
  heldBytes: number;
}

/**
 * Brings the chunks of each task in order, each once. A chunk that was stored twice counts once; one whose storing failed
 * comes behind later ones, which wait for it. The first chunk of a task may have any number: what was before it is not
 * kept any more, or not asked for.
 */
export class LogOrder {
  readonly #tasks = new Map<string, TaskOrder>();

  /** @param after number of the last chunk that the reader has of each task */
  constructor(after: Readonly<Record<string, bigint>> = {}) {
    for (const [task, last] of Object.entries(after)) this.#tasks.set(task, { last, held: new Map(), heldBytes: 0 });
  }

  /** The chunks that are next once this one has come; none, one, or many. */
  take(placed: PlacedChunk): PlacedChunk[] {
    const { sequence, ref, data } = placed.chunk;
    const taskId = ref?.taskId ?? "";
    const order = this.#tasks.get(taskId) ?? { last: sequence - 1n, held: new Map(), heldBytes: 0 };
    this.#tasks.set(taskId, order);
    if (sequence <= order.last || order.held.has(sequence)) return [];
    order.held.set(sequence, placed);
    order.heldBytes += data.length;
    if (order.heldBytes > MAX_HELD_BYTES) order.last = least(order.held) - 1n;
    return next(order);
  }

  /** What still waits, when nothing more will come: the chunks before it are lost. */
  rest(): PlacedChunk[] {
    return [...this.#tasks.values()].flatMap((order) => {
      const rest = [...order.held.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, placed]) => placed);
      order.held.clear();
      order.heldBytes = 0;
      return rest;
    });
  }

  /** A reader that begins anew behind this position, knowing what it has got, misses nothing. */
  safePosition(position: number): number {
    let safe = position;
    for (const { held } of this.#tasks.values()) {
      for (const placed of held.values()) safe = Math.min(safe, placed.position - 1);
    }
    return safe;
  }
}

function next(order: TaskOrder): PlacedChunk[] {
  const ready: PlacedChunk[] = [];
  for (let found = order.held.get(order.last + 1n); found !== undefined; found = order.held.get(order.last + 1n)) {
    order.held.delete(found.chunk.sequence);
    order.heldBytes -= found.chunk.data.length;
    order.last = found.chunk.sequence;
    ready.push(found);
  }
  return ready;
}

function least(held: ReadonlyMap<bigint, PlacedChunk>): bigint {
  return [...held.keys()].reduce((a, b) => (a < b ? a : b));
}
