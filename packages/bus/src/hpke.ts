import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";

/**
 * Hybrid public key encryption of single messages: RFC 9180 in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
 * ChaCha20-Poly1305. Who seals stays unknown to the cipher; a message that must be somebody's is signed besides.
 */

// DER headers of RFC 8410: an X25519 private key (PKCS #8) and public key (SPKI) are these plus 32 bytes.
const PKCS8_HEADER = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_HEADER = Buffer.from("302a300506032b656e032100", "hex");

const VERSION = Buffer.from("HPKE-v1");
const KEM_SUITE = Buffer.from([...Buffer.from("KEM"), 0x00, 0x20]);
const SUITE = Buffer.from([...Buffer.from("HPKE"), 0x00, 0x20, 0x00, 0x01, 0x00, 0x03]);
const BASE_MODE = Buffer.from([0]);
const EMPTY = Buffer.alloc(0);
const CIPHER = "chacha20-poly1305";
const TAG_LENGTH = 16;
const NONCE_LENGTH = 12;

/** Bytes of a key, public or private; any 32 random bytes are a private key. */
export const HPKE_KEY_LENGTH = 32;

/** What a message is bound to: `info` says what it is for, `aad` where it belongs. Both must be given again to open it. */
export interface HpkeContext {
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
}

/** A message as the receiver gets it: the sender's key for this one message, 32 bytes, and the ciphertext with its tag. */
export interface HpkeBox {
  readonly encapsulated: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** The public key of a private one. */
export function hpkePublicKey(privateKey: Uint8Array): Uint8Array {
  return rawPublicKey(createPublicKey(privateKeyObject(privateKey)));
}

/**
 * Encrypts for who holds the private half of a key.
 *
 * @throws an error of OpenSSL for 32 bytes that are no usable key (points of small order).
 */
export function hpkeSeal(publicKey: Uint8Array, plaintext: Uint8Array, { info, aad }: HpkeContext): HpkeBox {
  const ephemeral = generateKeyPairSync("x25519");
  const encapsulated = rawPublicKey(ephemeral.publicKey);
  const dh = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: publicKeyObject(publicKey) });
  const { key, nonce } = schedule(dh, Buffer.concat([encapsulated, publicKey]), info);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_LENGTH });
  cipher.setAAD(aad, { plaintextLength: plaintext.byteLength });
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  return { encapsulated, ciphertext };
}

/**
 * Decrypts.
 *
 * @throws an error of OpenSSL when it was sealed to another key, for something else, or was changed since.
 */
export function hpkeOpen(privateKey: Uint8Array, box: HpkeBox, { info, aad }: HpkeContext): Uint8Array {
  const own = privateKeyObject(privateKey);
  const dh = diffieHellman({ privateKey: own, publicKey: publicKeyObject(box.encapsulated) });
  const context = Buffer.concat([box.encapsulated, rawPublicKey(createPublicKey(own))]);
  const { key, nonce } = schedule(dh, context, info);
  const end = Math.max(0, box.ciphertext.byteLength - TAG_LENGTH);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_LENGTH });
  decipher.setAAD(aad, { plaintextLength: end });
  decipher.setAuthTag(box.ciphertext.subarray(end));
  return Buffer.concat([decipher.update(box.ciphertext.subarray(0, end)), decipher.final()]);
}

/** Sections 4.1 and 5.1: the key and nonce of the first message. */
function schedule(dh: Uint8Array, kemContext: Uint8Array, info: Uint8Array): { key: Uint8Array; nonce: Uint8Array } {
  const prk = extract(KEM_SUITE, EMPTY, "eae_prk", dh);
  const shared = expand(KEM_SUITE, prk, { label: "shared_secret", info: kemContext, length: 32 });
  const context = Buffer.concat([
    BASE_MODE,
    extract(SUITE, EMPTY, "psk_id_hash", EMPTY),
    extract(SUITE, EMPTY, "info_hash", info),
  ]);
  const secret = extract(SUITE, shared, "secret", EMPTY);
  return {
    key: expand(SUITE, secret, { label: "key", info: context, length: 32 }),
    nonce: expand(SUITE, secret, { label: "base_nonce", info: context, length: NONCE_LENGTH }),
  };
}

function extract(suite: Uint8Array, salt: Uint8Array, label: string, input: Uint8Array): Uint8Array {
  return hmac(salt, [VERSION, suite, Buffer.from(label), input]);
}

/** HKDF-Expand of RFC 5869 for at most one block of the hash, which is all that is asked for. */
function expand(
  suite: Uint8Array,
  prk: Uint8Array,
  { label, info, length }: { readonly label: string; readonly info: Uint8Array; readonly length: number },
): Uint8Array {
  const parts = [Buffer.from([0, length]), VERSION, suite, Buffer.from(label), info, Buffer.from([1])];
  return hmac(prk, parts).subarray(0, length);
}

function hmac(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHmac("sha256", key);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function privateKeyObject(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEADER, raw]), format: "der", type: "pkcs8" });
}

function publicKeyObject(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_HEADER, raw]), format: "der", type: "spki" });
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return key.export({ format: "der", type: "spki" }).subarray(SPKI_HEADER.byteLength);
}
