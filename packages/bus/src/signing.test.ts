import { create } from "@bufbuild/protobuf";
import { isKedgeError } from "@kedge/domain";
import { AssignmentSchema, RouteSchema, type Signed, SignedSchema } from "@kedge/proto";
import { createUser } from "@nats-io/nkeys";
import { describe, expect, it } from "vitest";
import { createSigner, verifySigned, verifySignedBytes } from "./signing.ts";

const pair = createUser();
const signer = createSigner(pair.getSeed());
const message = create(AssignmentSchema, { nodeId: "n1", generation: 7n });
const signed = signer.sign(AssignmentSchema, message, "n1");
const good = { key: signer.publicKey, audience: "n1" };
const isRefused = (error: unknown): boolean => isKedgeError(error, "SIGNATURE_INVALID");

describe("signed documents", () => {
  it("open for their audience, and for everybody when they are for all", () => {
    expect(signer.publicKey).toBe(pair.getPublicKey());
    expect(verifySigned(AssignmentSchema, signed, good)).toEqual(message);
    const forAll = signer.sign(AssignmentSchema, message, "*");
    expect(verifySigned(AssignmentSchema, forAll, good)).toEqual(message);
  });

  it.each([
    ["another audience", { audience: "n2" }],
    ["an audience with a part of the payload", { audience: `n1${"\0".repeat(3)}` }],
    ["another type", { type: "kedge.v1.Route" }],
    ["a changed payload", { payload: Uint8Array.of(1) }],
    ["a changed signature", { signature: new Uint8Array(64) }],
    ["no signature", { signature: new Uint8Array() }],
    ["another key", { keyId: createUser().getPublicKey() }],
  ])("do not open with %s", (_, change) => {
    const forged: Signed = create(SignedSchema, { ...signed, ...change });
    expect(() => verifySigned(AssignmentSchema, forged, good)).toThrow(expect.toSatisfy(isRefused));
    const asked = { ...good, audience: forged.audience };
    expect(() => verifySigned(AssignmentSchema, forged, asked)).toThrow(expect.toSatisfy(isRefused));
  });

  it("do not open as another message, for another node, with a key that is none, or from garbage", () => {
    expect(() => verifySigned(RouteSchema, signed, good)).toThrow(expect.toSatisfy(isRefused));
    expect(() => verifySigned(AssignmentSchema, signed, { ...good, audience: "n2" })).toThrow(
      expect.toSatisfy(isRefused),
    );
    const odd = create(SignedSchema, { ...signed, keyId: "nonsense" });
    expect(() => verifySigned(AssignmentSchema, odd, { ...good, key: "nonsense" })).toThrow(
      expect.toSatisfy(isRefused),
    );
    expect(() => verifySignedBytes(AssignmentSchema, Uint8Array.of(255), good)).toThrow(expect.toSatisfy(isRefused));
  });

  it("carry signatures that the nkeys package accepts too", () => {
    const parts = ["kedge-signed-v1", "kedge.v1.Assignment", "n1"].map((text) => Buffer.from(text));
    const bytes = Buffer.concat(
      [...parts, Buffer.from(signed.payload)].flatMap((part) => [Buffer.from([0, 0, 0, part.byteLength]), part]),
    );
    expect(pair.verify(bytes, signed.signature)).toBe(true);
  });
});
