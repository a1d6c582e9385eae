import type { Clock, Logger } from "@kedge/kernel";
import type { StoredImage } from "@kedge/runtime";

/** What an inventory is kept with. */
export interface ImageInventoryOptions {
  /** Asks the engine. */
  readonly list: () => Promise<readonly StoredImage[]>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The images are others than before. */
  readonly onChange: () => void;
}

/** Names that a heartbeat tells at most: of the largest images, which take longest to fetch. */
const MAX_NAMES = 100;
const MAX_NAME_LENGTH = 256;
const REFRESH_MS = 30_000;
const REFRESH_AFTER_WORK_MS = 2000;

/** The images that this node's engine holds, as heartbeats tell them: not older than 30 s, or 2 s after work ended. */
export class ImageInventory {
  readonly #options: ImageInventoryOptions;
  #bytes: ReadonlyMap<string, bigint> = new Map();
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  #isStale = false;

  constructor(options: ImageInventoryOptions) {
    this.#options = options;
  }

  /** Sizes by name, largest first. */
  get bytes(): ReadonlyMap<string, bigint> {
    return this.#bytes;
  }

  /** Work ended that may have built or pulled images. */
  touch(): void {
    this.#isStale = true;
  }

  /** Asks the engine again if it is time to; does not wait for the answer. To be called with every heartbeat. */
  refresh(): void {
    const { clock } = this.#options;
    const ageMs = clock.monotonic() - this.#askedAtMs;
    if (this.#isAsking || ageMs < (this.#isStale ? REFRESH_AFTER_WORK_MS : REFRESH_MS)) return;
    this.#askedAtMs = clock.monotonic();
    this.#isAsking = true;
    this.#isStale = false;
    void this.#ask().finally(() => {
      this.#isAsking = false;
    });
  }

  async #ask(): Promise<void> {
    const { list, logger, onChange } = this.#options;
    try {
      const bytes = sizesByName(await list());
      const isSame =
        bytes.size === this.#bytes.size && [...bytes].every(([name, size]) => this.#bytes.get(name) === size);
      this.#bytes = bytes;
      if (!isSame) onChange();
    } catch (error) {
      // What was there is likely to be there still.
      logger.debug({ err: error }, "images not listed");
    }
  }
}

function sizesByName(images: readonly StoredImage[]): ReadonlyMap<string, bigint> {
  const largestFirst = [...images].sort((a, b) => b.bytes - a.bytes);
  const named = largestFirst.flatMap(({ names, bytes }) => names.map((name) => [name, BigInt(bytes)] as const));
  return new Map(named.filter(([name]) => name.length <= MAX_NAME_LENGTH).slice(0, MAX_NAMES));
}
