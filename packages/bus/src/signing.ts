import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type Signed, SignedSchema } from "@kedge/proto";
import { fromSeed } from "@nats-io/nkeys";
import { rawPublicKey, rawSeed } from "./raw-nkey.ts";

/** Signs documents that agents act on. */
export interface Signer {
  /** Public nkey; agents get it when they enrol. */
  readonly publicKey: string;
  /** Wraps a message for one node id, or for every node with "*". */
  sign<D extends DescMessage>(schema: D, message: MessageShape<D>, audience: string): Signed;
}

/** Who must have signed a document, and for whom. */
export interface VerifyOptions {
  /** Public nkey of the controller. */
  readonly key: string;
  /** This node's id. Documents for "*" are accepted too, unless the audience asked for is "*" itself. */
  readonly audience: string;
}

// DER headers of RFC 8410: an Ed25519 private key (PKCS #8) and public key (SPKI) are these plus 32 bytes.
const PKCS8_HEADER = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_HEADER = Buffer.from("302a300506032b6570032100", "hex");
const CONTEXT = Buffer.from("kedge-signed-v1");

/**
 * A signer from an nkey seed. OpenSSL does the signing; the nkeys package would do it in JavaScript.
 *
 * @throws KedgeError INVALID_OPTION for a string that is no seed.
 */
export function createSigner(seed: Uint8Array): Signer {
  const pair = fromSeed(seed);
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_HEADER, rawSeed(seed)]),
    format: "der",
    type: "pkcs8",
  });
  const publicKey = pair.getPublicKey();
  return {
    publicKey,
    sign: (schema, message, audience) => {
      const payload = toBinary(schema, message);
      const type = schema.typeName;
      const signature = sign(null, signedBytes(type, audience, payload), key);
      return create(SignedSchema, { type, audience, payload, keyId: publicKey, signature });
    },
  };
}

/**
 * Opens a signed document.
 *
 * @throws KedgeError SIGNATURE_INVALID when type, signer, audience or signature is not the expected one, or the payload
 *   is not a message of the schema.
 */
export function verifySigned<D extends DescMessage>(
  schema: D,
  signed: Signed,
  { key, audience }: VerifyOptions,
): MessageShape<D> {
  if (signed.type !== schema.typeName) throw refuse(`is a ${signed.type}, not a ${schema.typeName}`);
  if (signed.keyId !== key) throw refuse("is not signed with the controller's key");
  if (signed.audience !== audience && signed.audience !== "*") throw refuse(`is addressed to ${signed.audience}`);
  const bytes = signedBytes(signed.type, signed.audience, signed.payload);
  if (!verify(null, bytes, publicKeyObject(key), signed.signature)) throw refuse("has a wrong signature");
  return decodeOrRefuse(schema, signed.payload);
}

/** Decodes and opens a signed document from the wire; fails like `verifySigned`. */
export function verifySignedBytes<D extends DescMessage>(
  schema: D,
  bytes: Uint8Array,
  options: VerifyOptions,
): MessageShape<D> {
  return verifySigned(schema, decodeOrRefuse(SignedSchema, bytes), options);
}

function decodeOrRefuse<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new KedgeError("SIGNATURE_INVALID", `document cannot be decoded as ${schema.typeName}`, { cause });
  }
}

function refuse(what: string): KedgeError {
  return new KedgeError("SIGNATURE_INVALID", `document ${what}`);
}

/** What the signature covers: every part with its length first, so that no two documents share a byte string. */
function signedBytes(type: string, audience: string, payload: Uint8Array): Uint8Array {
  const parts = [CONTEXT, Buffer.from(type), Buffer.from(audience), payload];
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.byteLength);
      return [length, part];
    }),
  );
}

function publicKeyObject(nkey: string): KeyObject {
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_HEADER, rawPublicKey(nkey)]), format: "der", type: "spki" });
  } catch (cause) {
    throw new KedgeError("SIGNATURE_INVALID", "the controller's key is no public nkey", { cause });
  }
}
