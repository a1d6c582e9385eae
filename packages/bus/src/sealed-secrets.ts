import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type SealKey, SealKeySchema, SecretValuesSchema, type TaskRefFull } from "@kedge/proto";
import { fromPublic, fromSeed } from "@nats-io/nkeys";
import { HPKE_KEY_LENGTH, type HpkeContext, hpkeOpen, hpkePublicKey, hpkeSeal } from "./hpke.ts";

/** Values of secrets by name. */
export type SecretValueMap = ReadonlyMap<string, Uint8Array>;

const PURPOSE = Buffer.from("kedge-secrets-v1");

/**
 * What a node tells of its key for secrets, signed with its nkey: who could speak in its name on the bus, without that key,
 * still could not have secrets sealed to a key of his own.
 *
 * @param seed the node's nkey.
 * @param secret 32 random bytes, the private half.
 */
export function describeSealKey(nodeId: string, seed: Uint8Array, secret: Uint8Array): SealKey {
  const publicKey = hpkePublicKey(secret);
  return create(SealKeySchema, { publicKey, proof: fromSeed(seed).sign(proofText(nodeId, publicKey)) });
}

/** Tells whether a key for secrets is the node's own. `nodeKey` is the public nkey it was enrolled with. */
export function isSealKeyOf(nodeId: string, nodeKey: string, { publicKey, proof }: SealKey): boolean {
  if (publicKey.byteLength !== HPKE_KEY_LENGTH) return false;
  try {
    return fromPublic(nodeKey).verify(proofText(nodeId, publicKey), proof);
  } catch {
    // A proof of a wrong length, or no nkey: not its own.
    return false;
  }
}

/**
 * Seals values for one attempt of a job: only the node can open them, and only for this attempt.
 *
 * @throws KedgeError INVALID_FIELD for a key that nothing can be sealed to.
 */
export function sealSecrets(values: SecretValueMap, publicKey: Uint8Array, ref: TaskRefFull): Uint8Array {
  const message = create(SecretValuesSchema, { values: Object.fromEntries(values) });
  const plaintext = toBinary(SecretValuesSchema, message);
  try {
    const { encapsulated, ciphertext } = hpkeSeal(publicKey, plaintext, contextOf(ref));
    return Buffer.concat([encapsulated, ciphertext]);
  } catch (cause) {
    const what = `nothing can be sealed to the key of node ${ref.nodeId}`;
    throw new KedgeError("INVALID_FIELD", what, { field: "seal_key", cause });
  } finally {
    plaintext.fill(0);
  }
}

/**
 * Opens what was sealed for an attempt. None: the job has no secrets.
 *
 * @param secret the node's private half.
 * @throws KedgeError SIGNATURE_INVALID when it is another node's or attempt's, or was changed.
 */
export function openSecrets(sealed: Uint8Array, secret: Uint8Array, ref: TaskRefFull): SecretValueMap {
  if (sealed.byteLength === 0) return new Map();
  const box = { encapsulated: sealed.subarray(0, HPKE_KEY_LENGTH), ciphertext: sealed.subarray(HPKE_KEY_LENGTH) };
  try {
    const { values } = fromBinary(SecretValuesSchema, hpkeOpen(secret, box, contextOf(ref)));
    return new Map(Object.entries(values));
  } catch (cause) {
    throw new KedgeError("SIGNATURE_INVALID", `the secrets of task ${ref.taskId} are not sealed for it and this node`, {
      cause,
      hint: "the node's key for secrets was replaced; retry the job",
    });
  }
}

function proofText(nodeId: string, publicKey: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`kedge-seal:${nodeId}:`), publicKey]);
}

/** Every part with its length first, so that no two attempts share a byte string. */
function contextOf({ nodeId, taskId, fence, runId, job }: TaskRefFull): HpkeContext {
  const parts = [nodeId, taskId, String(fence), runId, job].map((part) => Buffer.from(part));
  const aad = Buffer.concat(parts.flatMap((part) => [Buffer.from([part.byteLength >> 8, part.byteLength]), part]));
  return { info: PURPOSE, aad };
}
