import { mixUserHash } from "@kedge/domain";
import type { UserId } from "./user-cohort.ts";

/** 2 to the power of it is the number of places. */
const PLACE_BITS = 16;
/** How long the bytes of known users are, always. */
export const KNOWN_USERS_BYTES = 2 ** (PLACE_BITS - 3);

/**
 * Users in 8 KiB whatever their number: each has one of 65,536 places by his hash. Who was added is always found; who was
 * not is found when somebody else has his place, so of 10,000 users 14 % more seem known, of 50,000 half. As the place has
 * nothing to do with the arm or the outcome, leaving those out costs evidence and makes none.
 */
export class KnownUsers {
  readonly #places: Uint8Array;

  /** `bytes`: what `toBytes` gave; of another length: nobody is known. */
  constructor(bytes: Uint8Array = new Uint8Array()) {
    this.#places = bytes.length === KNOWN_USERS_BYTES ? bytes.slice() : new Uint8Array(KNOWN_USERS_BYTES);
  }

  add(user: UserId): void {
    const place = placeOf(user);
    this.#places[place >>> 3] = (this.#places[place >>> 3] ?? 0) | (1 << (place & 7));
  }

  has(user: UserId): boolean {
    const place = placeOf(user);
    return ((this.#places[place >>> 3] ?? 0) & (1 << (place & 7))) !== 0;
  }

  toBytes(): Uint8Array {
    return this.#places.slice();
  }
}

/** The hash of a name is FNV-1a's. The lower bits are taken, as gateways that tell of a sample choose by the upper ones. */
function placeOf(user: UserId): number {
  return mixUserHash(typeof user === "number" ? user : fnv1a(user)) & (2 ** PLACE_BITS - 1);
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
