import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";

/** Most chunks that one upload, or one task, may hold: twice what the largest artifact has. */
const MAX_HELD = 1_000_000;
const TASK_HOLD_MS = 3_600_000;

/** Chunks that must not be collected although no document refers to them yet. Ends with `release`. */
export class ChunkHold {
  readonly #holds: ChunkHolds;
  /** Whether each is known to be stored. */
  readonly #chunks = new Map<string, boolean>();

  constructor(holds: ChunkHolds) {
    this.#holds = holds;
  }

  /**
   * Keeps a chunk from being collected from now on, stored or not. Waits if it is being deleted right now.
   *
   * @throws KedgeError TOO_LARGE.
   */
  async protect(sha256: string): Promise<void> {
    if (!this.#chunks.has(sha256)) {
      if (this.#chunks.size >= MAX_HELD) throw new KedgeError("TOO_LARGE", `more than ${MAX_HELD} chunks at once`);
      this.#chunks.set(sha256, false);
      this.#holds.take(sha256);
    }
    await this.#holds.settled(sha256);
  }

  /** Notes that a protected chunk is stored. */
  confirm(sha256: string): void {
    if (this.#chunks.has(sha256)) this.#chunks.set(sha256, true);
  }

  /** Whether a chunk is stored and stays so while this is held. */
  isStored(sha256: string): boolean {
    return this.#chunks.get(sha256) === true;
  }

  /** Lets go of all. May be called twice. */
  release(): void {
    for (const sha256 of this.#chunks.keys()) this.#holds.drop(sha256);
    this.#chunks.clear();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * What keeps uploads and the collector apart. Both run in the process that leads, so this is in memory: a chunk is held
 * from before it is looked for until a document refers to it, and what was held while a collection goes on stays.
 */
export class ChunkHolds {
  readonly #clock: Clock;
  readonly #held = new Map<string, number>();
  readonly #tasks = new Map<string, { readonly hold: ChunkHold; untilMs: number }>();
  /** Held at any time since the collection under way began. */
  #spared: Set<string> | undefined;
  #deleting: { readonly chunks: ReadonlySet<string>; readonly done: Promise<unknown> } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins to hold chunks for one upload. */
  begin(): ChunkHold {
    return new ChunkHold(this);
  }

  /** What a task was told to be stored; held for an hour after it asked last. */
  ofTask(taskId: string): ChunkHold {
    const hold = this.#tasks.get(taskId)?.hold ?? this.begin();
    this.#tasks.set(taskId, { hold, untilMs: this.#clock.now() + TASK_HOLD_MS });
    return hold;
  }

  /** Begins a collection: from now on, what is held or was held since counts as used. One at a time; `end` ends it. */
  beginCollection(): { end(): void } {
    const nowMs = this.#clock.now();
    for (const [taskId, { hold, untilMs }] of this.#tasks) {
      if (untilMs > nowMs) continue;
      hold.release();
      this.#tasks.delete(taskId);
    }
    this.#spared = new Set(this.#held.keys());
    return {
      end: () => {
        this.#spared = undefined;
      },
    };
  }

  /** Deletes those of the chunks that nobody has held since the collection began; whoever wants one meanwhile waits. */
  async delete<T extends { readonly sha256: string }>(
    chunks: readonly T[],
    remove: (chunk: T) => Promise<void>,
  ): Promise<number> {
    const free = chunks.filter(({ sha256 }) => this.#spared?.has(sha256) === false);
    const done = Promise.all(free.map(remove));
    this.#deleting = { chunks: new Set(free.map(({ sha256 }) => sha256)), done };
    try {
      await done;
      return free.length;
    } finally {
      this.#deleting = undefined;
    }
  }

  /** Counts one more holder of a chunk. For holds. */
  take(sha256: string): void {
    this.#held.set(sha256, (this.#held.get(sha256) ?? 0) + 1);
    this.#spared?.add(sha256);
  }

  /** Counts one holder less. For holds. */
  drop(sha256: string): void {
    const left = (this.#held.get(sha256) ?? 0) - 1;
    if (left > 0) this.#held.set(sha256, left);
    else this.#held.delete(sha256);
  }

  /** Resolves when the chunk is not being deleted. For holds. */
  async settled(sha256: string): Promise<void> {
    const deleting = this.#deleting;
    if (deleting?.chunks.has(sha256)) await deleting.done.catch(() => {}); // The collector tells of it.
  }
}
