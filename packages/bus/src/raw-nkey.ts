import { fromPublic, fromSeed } from "@nats-io/nkeys";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The 32 key bytes in a public nkey. Throws NKeysError when prefix or checksum is wrong. */
export function rawPublicKey(nkey: string): Uint8Array {
  // Asking for the key back makes the package check it.
  fromPublic(nkey).getPublicKey();
  return base32(nkey).subarray(1, 33);
}

/** The 32 secret bytes in an nkey seed. Throws NKeysError when prefix or checksum is wrong. */
export function rawSeed(seed: Uint8Array): Uint8Array {
  fromSeed(seed).getPublicKey();
  return base32(Buffer.from(seed).toString("ascii")).subarray(2, 34);
}

/** RFC 4648 without padding; the input was checked by the nkeys package. */
function base32(text: string): Uint8Array {
  const bytes: number[] = [];
  let value = 0;
  let bits = 0;
  for (const character of text) {
    value = ((value << 5) | ALPHABET.indexOf(character)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  return Uint8Array.from(bytes);
}
