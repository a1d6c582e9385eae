/**
 * Finaliser of MurmurHash3, a bijection on 32 bits: every bit of the result depends on every bit of the hash. A split of
 * users has taken the hash's remainder; mixed, what it left says nothing about the split.
 */
export function mixUserHash(hash: number): number {
  let mixed = hash >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
