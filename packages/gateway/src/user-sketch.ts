import { mixUserHash } from "@kedge/domain";

/** Users that are told one by one. */
const MOST_TOLD = 256;
const ALL = 2 ** 32;
const EXACT = 1;
const SAMPLED = 2;

/**
 * Distinct users by 32-bit hashes in bounded memory: all of them up to 256, then those with the 256 smallest mixed hashes,
 * and the limit below which these are (Bar-Yossef et al. 2002; Beyer et al. 2007). So it is a sample of the users that is
 * the same on every node and in every window, has nothing to do with what they met, and tells their number within a
 * standard error of 6.3 %. Sketches of several windows and nodes merge without counting a user twice.
 */
export class UserSketch {
  #hashes = new Set<number>();
  /** All users whose mixed hash is below it are kept. */
  #limit = ALL;

  /** A sketch from its bytes; undefined when they are none. */
  static parse(bytes: Uint8Array): UserSketch | undefined {
    const isSampled = bytes[0] === SAMPLED;
    const begin = isSampled ? 5 : 1;
    if (!isSampled && bytes[0] !== EXACT) return undefined;
    if (bytes.length < begin || (bytes.length - begin) % 4 !== 0 || bytes.length > begin + 4 * MOST_TOLD)
      return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const sketch = new UserSketch();
    if (isSampled) sketch.#limit = view.getUint32(1);
    for (let at = begin; at < bytes.length; at += 4) sketch.add(view.getUint32(at));
    return sketch;
  }

  /** Adds a user by a hash of 32 bits. */
  add(hash: number): void {
    if (mixUserHash(hash) >= this.#limit) return;
    this.#hashes.add(hash >>> 0);
    if (this.#hashes.size > 2 * MOST_TOLD) this.#shrink();
  }

  /** Adds another sketch's users. */
  merge(other: UserSketch): void {
    this.#limit = Math.min(this.#limit, other.#limit);
    this.#hashes = new Set([...this.#hashes, ...other.#hashes].filter((hash) => mixUserHash(hash) < this.#limit));
    this.#shrink();
  }

  /** Number of distinct users; estimated beyond 256. */
  count(): number {
    this.#shrink();
    return this.#limit === 0 ? 0 : Math.round((this.#hashes.size * ALL) / this.#limit);
  }

  /** At most 1029 bytes, big-endian: a tag, of a sample the limit, then the hashes, those with the smallest mixed hash first. */
  toBytes(): Uint8Array {
    this.#shrink();
    const isSampled = this.#limit < ALL;
    const begin = isSampled ? 5 : 1;
    const bytes = new Uint8Array(begin + 4 * this.#hashes.size);
    const view = new DataView(bytes.buffer);
    bytes[0] = isSampled ? SAMPLED : EXACT;
    if (isSampled) view.setUint32(1, this.#limit);
    for (const [index, hash] of this.#inOrder().entries()) view.setUint32(begin + 4 * index, hash);
    return bytes;
  }

  #inOrder(): number[] {
    return [...this.#hashes].sort((a, b) => mixUserHash(a) - mixUserHash(b));
  }

  #shrink(): void {
    if (this.#hashes.size <= MOST_TOLD) return;
    const hashes = this.#inOrder();
    // The first that is left out is the limit, so that those below it are a sample of its own.
    this.#limit = mixUserHash(hashes[MOST_TOLD] ?? 0);
    this.#hashes = new Set(hashes.slice(0, MOST_TOLD));
  }
}
