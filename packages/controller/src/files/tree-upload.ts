import { type Bus, getChunk, hasChunk, hexOf, putChunk, readTree, type StoredTree, sha256Of } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import type { ChunkHold } from "./chunk-holds.ts";

const IN_FLIGHT = 16;

/** A tree whose chunks are all in the store. */
export interface UploadedTree extends StoredTree {
  /** SHA-256 of its root, lower-case hex. */
  readonly digest: string;
  /** Bytes that were not stored before. */
  readonly newBytes: bigint;
}

/** Takes the chunks of one tree, in any order, its root last. One upload; not reusable. */
export class TreeUpload {
  readonly #bus: Bus;
  readonly #hold: ChunkHold;
  readonly #inFlight = new Set<Promise<void>>();
  #last: string | undefined;
  #newBytes = 0n;

  constructor(bus: Bus, hold: ChunkHold) {
    this.#bus = bus;
    this.#hold = hold;
  }

  /** Stores a chunk; resolves when there is room for the next. Fails with what an earlier one failed with. */
  async add(bytes: Uint8Array): Promise<void> {
    const sha256 = hexOf(sha256Of(bytes));
    this.#last = sha256;
    const put = this.#put(sha256, bytes);
    this.#inFlight.add(put);
    // One that fails stays in the set, so that whoever waits next hears of it.
    put.then(
      () => this.#inFlight.delete(put),
      () => {},
    );
    if (this.#inFlight.size >= IN_FLIGHT) await Promise.race(this.#inFlight);
  }

  /**
   * Reads the tree back and sees to it that everything it refers to is stored.
   *
   * @throws KedgeError INVALID_TREE, CHUNK_NOT_FOUND, TOO_LARGE, BUS_UNAVAILABLE.
   */
  async finish(): Promise<UploadedTree> {
    await Promise.all(this.#inFlight);
    const digest = this.#last;
    if (digest === undefined) throw new KedgeError("INVALID_FIELD", "no chunk was sent", { field: "part" });
    const read = async (sha256: string): Promise<Uint8Array> => {
      await this.#hold.protect(sha256);
      const bytes = await getChunk(this.#bus, sha256);
      this.#hold.confirm(sha256);
      return bytes;
    };
    const tree = await readTree(digest, read);
    await this.#assertStored(tree);
    return { ...tree, digest, newBytes: this.#newBytes };
  }

  async #put(sha256: string, bytes: Uint8Array): Promise<void> {
    await this.#hold.protect(sha256);
    const { stored } = await putChunk(this.#bus, bytes);
    this.#hold.confirm(sha256);
    if (stored) this.#newBytes += BigInt(bytes.length);
  }

  async #assertStored({ entries }: StoredTree): Promise<void> {
    const wanted = entries.flatMap(({ path, chunks }) => chunks.map((chunk) => ({ path, sha256: hexOf(chunk) })));
    const unknown = wanted.filter(({ sha256 }) => !this.#hold.isStored(sha256));
    for (let at = 0; at < unknown.length; at += IN_FLIGHT) {
      await Promise.all(
        unknown.slice(at, at + IN_FLIGHT).map(async ({ path, sha256 }) => {
          if (await isStored(this.#bus, this.#hold, sha256)) return;
          throw new KedgeError("CHUNK_NOT_FOUND", `chunk ${sha256} of ${JSON.stringify(path)} was not sent`);
        }),
      );
    }
  }
}

/** Tells whether a chunk is stored; if so it stays while the hold does. */
export async function isStored(bus: Bus, hold: ChunkHold, sha256: string): Promise<boolean> {
  await hold.protect(sha256);
  if (hold.isStored(sha256)) return true;
  if (!(await hasChunk(bus, sha256))) return false;
  hold.confirm(sha256);
  return true;
}
