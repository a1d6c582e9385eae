const COLON = 0x3a;
const SLASH = 0x2f;
const AT = 0x40;
/** Longest authority of a URL that is looked through. */
const MAX_AUTHORITY = 1024;
/** A user name without a password that is this long is a token. */
const TOKEN_LENGTH = 20;

/**
 * Finds the user part of URLs that carry a password or a token, `https://user:password@host`, `https://token@host`, in a
 * stream: it may end anywhere. `git@` and other short names without a password are nobody's secret.
 */
export class UrlUserinfo {
  /** Place of the colon of a "://" that may be one; -1: none. */
  #colon = -1;
  /** Bytes after that colon. */
  #length = 0;
  #lastAt = -1;
  #hasPassword = false;

  /** Place from which on bytes may belong to a user part that has not ended; Infinity: there is none. */
  get begun(): number {
    return this.#colon < 0 ? Number.POSITIVE_INFINITY : this.#colon;
  }

  /**
   * Reads on in `bytes`, whose first is at the place `base` of the stream. Calls back with the places of each user part.
   */
  scan(bytes: Uint8Array, range: UrlRange, found: (start: number, end: number) => void): void {
    const { from, to, base } = range;
    for (let at = from; at < to; at += 1) {
      if (this.#colon < 0) {
        at = bytes.indexOf(COLON, at);
        if (at < 0 || at >= to) return;
        this.#begin(base + at);
      } else if (!this.#read(bytes[at] ?? 0)) {
        this.#end(found);
        // The byte that ended it may be the colon that begins the next.
        if (bytes[at] === COLON) this.#begin(base + at);
      }
    }
  }

  /** Says that nothing follows. */
  finish(found: (start: number, end: number) => void): void {
    if (this.#colon >= 0) this.#end(found);
  }

  #begin(colon: number): void {
    this.#colon = colon;
    this.#length = 0;
    this.#lastAt = -1;
    this.#hasPassword = false;
  }

  /** Whether the byte is one more of the URL's authority, or of the slashes before it. */
  #read(byte: number): boolean {
    if (this.#length < 2) {
      if (byte !== SLASH) return false;
      this.#length += 1;
      return true;
    }
    if (!isAuthority(byte) || this.#length > MAX_AUTHORITY) return false;
    this.#length += 1;
    if (byte === AT) this.#lastAt = this.#length;
    if (byte === COLON && this.#lastAt < 0) this.#hasPassword = true;
    return true;
  }

  #end(found: (start: number, end: number) => void): void {
    const length = this.#lastAt - 3;
    if (length > 0 && (this.#hasPassword || length >= TOKEN_LENGTH)) found(this.#colon + 3, this.#colon + this.#lastAt);
    this.#colon = -1;
  }
}

/** What is read, and where it stands in the stream. */
export interface UrlRange {
  readonly from: number;
  readonly to: number;
  readonly base: number;
}

/** All but what ends an authority or the URL: controls, space, quotes, / < > ? # \ and what is in no URL. */
function isAuthority(byte: number): boolean {
  if (byte <= 0x20 || byte === 0x7f) return false;
  return (
    byte !== SLASH && byte !== 0x22 && byte !== 0x23 && byte !== 0x27 && byte !== 0x3c && byte !== 0x3e && byte !== 0x3f
  );
}
