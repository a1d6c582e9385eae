const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;
const PRIME_4 = 0x27d4eb2f;
const PRIME_5 = 0x165667b1;
/** Bytes of the four lanes together. */
const STRIPE = 16;
const WORD = 4;

const encoder = new TextEncoder();

/**
 * xxHash of 32 bits with seed 0 of a text in UTF-8, as HAProxy's `xxh32` gives it, from 0 to 2^32 - 1. After the
 * algorithm's description, github.com/Cyan4973/xxHash, doc/xxhash_spec.md.
 */
export function xxh32(text: string): number {
  const bytes = encoder.encode(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const striped = bytes.length - (bytes.length % STRIPE);
  let hash = (lanes(view, striped) + bytes.length) | 0;
  let at = striped;
  for (; at + WORD <= bytes.length; at += WORD) {
    hash = (hash + Math.imul(view.getUint32(at, true), PRIME_3)) | 0;
    hash = Math.imul(rotate(hash, 17), PRIME_4);
  }
  for (; at < bytes.length; at++) {
    hash = (hash + Math.imul(view.getUint8(at), PRIME_5)) | 0;
    hash = Math.imul(rotate(hash, 11), PRIME_1);
  }
  return avalanche(hash);
}

function lanes(view: DataView, end: number): number {
  if (end === 0) return PRIME_5;
  let a = (PRIME_1 + PRIME_2) | 0;
  let b = PRIME_2 | 0;
  let c = 0;
  let d = -PRIME_1 | 0;
  for (let at = 0; at < end; at += STRIPE) {
    a = round(a, view.getUint32(at, true));
    b = round(b, view.getUint32(at + WORD, true));
    c = round(c, view.getUint32(at + 2 * WORD, true));
    d = round(d, view.getUint32(at + 3 * WORD, true));
  }
  return (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1);
}

function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  mixed = Math.imul(mixed ^ (mixed >>> 13), PRIME_3);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
