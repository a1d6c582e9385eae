import { createCipheriv, createDecipheriv } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { secureBytes } from "@kedge/kernel";
import { type Secret, type SecretScope, SecretScopeSchema } from "@kedge/proto";
import type { MasterKey } from "./key-file.ts";

/**
 * Envelope encryption as in NIST SP 800-57 (keys that wrap keys), with AES-256-GCM for both layers: a value has a key of its
 * own, which is stored encrypted with a master key. Changing the master key touches the small layer only.
 */

/** What a value is bound to: under another name, version or scope it does not open. */
export interface SecretBinding {
  /** Key of the document. */
  readonly name: string;
  readonly version: number;
  readonly scope: SecretScope;
}

/** A value as it is stored. */
export type Envelope = Pick<Secret, "ciphertext" | "wrappedKey" | "keyId">;

const CIPHER = "aes-256-gcm";
const KEY_LENGTH = 32;
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;

/** Encrypts a value under a fresh key, and that key under the master key. */
export function encryptValue(value: Uint8Array, binding: SecretBinding, master: MasterKey): Envelope {
  const key = secureBytes(KEY_LENGTH);
  try {
    return { ciphertext: encrypt(key, value, valueContext(binding)), ...wrap(key, binding, master) };
  } finally {
    key.fill(0);
  }
}

/**
 * The value of an envelope.
 *
 * @throws KedgeError SECRET_KEY_LOST when none of the keys is the one it was made with; SIGNATURE_INVALID when the stored
 *   document was changed, or is another secret's.
 */
export function decryptValue(envelope: Envelope, binding: SecretBinding, keys: readonly MasterKey[]): Uint8Array {
  const key = unwrap(envelope, binding, keys);
  try {
    return decrypt(key, envelope.ciphertext, valueContext(binding));
  } catch (cause) {
    throw altered(binding, cause);
  } finally {
    key.fill(0);
  }
}

/** The same value with its key encrypted under another master key. Fails like `decryptValue`. */
export function rewrap(
  envelope: Envelope,
  binding: SecretBinding,
  { keys, master }: { readonly keys: readonly MasterKey[]; readonly master: MasterKey },
): Envelope {
  const key = unwrap(envelope, binding, keys);
  try {
    return { ciphertext: envelope.ciphertext, ...wrap(key, binding, master) };
  } finally {
    key.fill(0);
  }
}

function wrap(key: Uint8Array, binding: SecretBinding, master: MasterKey): Omit<Envelope, "ciphertext"> {
  return { wrappedKey: encrypt(master.bytes, key, keyContext(binding, master.id)), keyId: master.id };
}

function unwrap({ wrappedKey, keyId }: Envelope, binding: SecretBinding, keys: readonly MasterKey[]): Uint8Array {
  const master = keys.find(({ id }) => id === keyId);
  if (master === undefined) {
    throw new KedgeError(
      "SECRET_KEY_LOST",
      `secret ${binding.name} is encrypted with key ${keyId}, which is not here`,
      {
        field: "secretKeyFile",
        hint: "restore the key file from its copy, or give the secret its value again",
      },
    );
  }
  try {
    return decrypt(master.bytes, wrappedKey, keyContext(binding, keyId));
  } catch (cause) {
    throw altered(binding, cause);
  }
}

function altered({ name }: SecretBinding, cause: unknown): KedgeError {
  const hint = `who can write to the store changed it; set ${name} anew`;
  return new KedgeError("SIGNATURE_INVALID", `what is stored of secret ${name} is not what was set`, { cause, hint });
}

/** Nonce, ciphertext and tag in one. */
function encrypt(key: Uint8Array, plaintext: Uint8Array, context: Uint8Array): Uint8Array {
  const nonce = secureBytes(NONCE_LENGTH);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_LENGTH }).setAAD(context);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, bytes: Uint8Array, context: Uint8Array): Uint8Array {
  const end = Math.max(NONCE_LENGTH, bytes.byteLength - TAG_LENGTH);
  const nonce = bytes.subarray(0, NONCE_LENGTH);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_LENGTH }).setAAD(context);
  decipher.setAuthTag(bytes.subarray(end));
  return Buffer.concat([decipher.update(bytes.subarray(NONCE_LENGTH, end)), decipher.final()]);
}

function valueContext({ name, version, scope }: SecretBinding): Uint8Array {
  return joined(["kedge-secret-v1", name, String(version), toBinary(SecretScopeSchema, scope)]);
}

function keyContext({ name, version }: SecretBinding, keyId: string): Uint8Array {
  return joined(["kedge-secret-key-v1", name, String(version), keyId]);
}

/** Every part with its length first, so that no two contexts share a byte string. */
function joined(parts: readonly (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.byteLength);
      return [length, bytes];
    }),
  );
}
