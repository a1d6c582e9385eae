const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * A lower-case ULID: 48 bits of time, 80 bits of randomness, 26 characters, sortable by time.
 *
 * @param nowMs milliseconds since 1970.
 * @param random at least 10 random bytes.
 * Source: ulid/spec.
 */
export function ulid(nowMs: number, random: Uint8Array): string {
  let time = "";
  for (let rest = nowMs, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) time = ALPHABET.charAt(rest % 32) + time;
  let bits = 0n;
  for (const byte of random.subarray(0, 10)) bits = (bits << 8n) | BigInt(byte);
  let tail = "";
  for (let i = 0; i < 16; i++, bits >>= 5n) tail = ALPHABET.charAt(Number(bits & 31n)) + tail;
  return time + tail;
}

/** Tells whether a string has the form of `ulid()`'s result. */
export function isUlid(value: string): boolean {
  return /^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(value);
}
