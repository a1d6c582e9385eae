import { expect, it } from "vitest";
import { hpkeOpen, hpkePublicKey, hpkeSeal } from "./hpke.ts";

const hex = (text: string): Buffer => Buffer.from(text, "hex");

// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, sequence number 0.
const VECTOR = {
  info: hex("4f6465206f6e2061204772656369616e2055726e"),
  privateKey: hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"),
  publicKey: hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"),
  encapsulated: hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"),
  aad: hex("436f756e742d30"),
  plaintext: hex("4265617574792069732074727574682c20747275746820626561757479"),
  ciphertext: hex("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"),
};

it("opens the test vector of RFC 9180", () => {
  expect(hpkePublicKey(VECTOR.privateKey)).toEqual(VECTOR.publicKey);
  expect(hpkeOpen(VECTOR.privateKey, VECTOR, VECTOR)).toEqual(VECTOR.plaintext);
});

it("opens what it sealed, and nothing that was changed in any byte", () => {
  const own = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7));
  const context = { info: Buffer.from("what for"), aad: Buffer.from("where") };
  for (const length of [0, 1, 31, 1000]) {
    const text = Buffer.alloc(length, "x");
    const box = hpkeSeal(hpkePublicKey(own), text, context);
    expect(hpkeOpen(own, box, context)).toEqual(text);
    expect(() => hpkeOpen(Buffer.alloc(32, 9), box, context)).toThrow();
    expect(() => hpkeOpen(own, box, { ...context, aad: Buffer.from("elsewhere") })).toThrow();
    expect(() => hpkeOpen(own, box, { ...context, info: Buffer.from("what else") })).toThrow();
    const whole = Buffer.concat([box.encapsulated, box.ciphertext]);
    for (const at of whole.keys()) {
      const changed = Buffer.from(whole);
      changed[at] = (whole[at] ?? 0) ^ 0x80;
      const parts = { encapsulated: changed.subarray(0, 32), ciphertext: changed.subarray(32) };
      expect(() => hpkeOpen(own, parts, context)).toThrow();
      const cut = { encapsulated: whole.subarray(0, 32), ciphertext: whole.subarray(32, at) };
      expect(() => hpkeOpen(own, cut, context)).toThrow();
    }
  }
});

it("gives two boxes of one text nothing in common", () => {
  const own = Buffer.alloc(32, 7);
  const context = { info: Buffer.from("i"), aad: Buffer.from("a") };
  const [one, two] = [0, 1].map(() => hpkeSeal(hpkePublicKey(own), Buffer.from("same"), context));
  expect(one?.ciphertext).not.toEqual(two?.ciphertext);
  expect(one?.encapsulated).not.toEqual(two?.encapsulated);
});

it("seals nothing to a key that everybody knows the secret of", () => {
  for (const low of [Buffer.alloc(32), Buffer.concat([hex("01"), Buffer.alloc(31)])]) {
    expect(() => hpkeSeal(low, Buffer.from("x"), { info: Buffer.alloc(0), aad: Buffer.alloc(0) })).toThrow();
  }
});
