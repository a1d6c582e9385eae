import { create } from "@bufbuild/protobuf";
import { SecretScopeSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { decryptValue, encryptValue, rewrap } from "./envelope.ts";
import { makeMasterKey } from "./key-file.ts";

const scope = create(SecretScopeSchema, { environments: ["production"] });
const binding = { name: "token", version: 3, scope };
const value = Buffer.from("the value");
const master = makeMasterKey();

test("a value comes back under the key, name, version and scope it was stored with, and no other", () => {
  const envelope = encryptValue(value, binding, master);
  expect(decryptValue(envelope, binding, [makeMasterKey(), master])).toEqual(value);
  for (const other of [
    { ...binding, name: "tokem" },
    { ...binding, version: 2 },
    { ...binding, scope: create(SecretScopeSchema) },
    { ...binding, scope: create(SecretScopeSchema, { branches: ["production"] }) },
  ]) {
    expect(() => decryptValue(envelope, other, [master])).toThrow("is not what was set");
  }
  expect(() => decryptValue(envelope, binding, [makeMasterKey()])).toThrow(`key ${master.id}, which is not here`);
});

test("no byte of what is stored can be changed or left out", () => {
  const envelope = encryptValue(value, binding, master);
  for (const field of ["ciphertext", "wrappedKey"] as const) {
    for (const at of envelope[field].keys()) {
      const changed = Buffer.from(envelope[field]);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => decryptValue({ ...envelope, [field]: changed }, binding, [master])).toThrow("is not what was set");
      const cut = envelope[field].subarray(0, at);
      expect(() => decryptValue({ ...envelope, [field]: cut }, binding, [master])).toThrow("is not what was set");
    }
  }
});

test("values of one secret are not put together from two", () => {
  const one = encryptValue(value, binding, master);
  const two = encryptValue(Buffer.from("another"), { ...binding, name: "other" }, master);
  expect(() => decryptValue({ ...one, ciphertext: two.ciphertext }, binding, [master])).toThrow("is not what was set");
  expect(() => decryptValue({ ...one, wrappedKey: two.wrappedKey }, binding, [master])).toThrow("is not what was set");
});

test("another master key takes over the value as it is", () => {
  const next = makeMasterKey();
  const envelope = encryptValue(value, binding, master);
  const wrapped = rewrap(envelope, binding, { keys: [next, master], master: next });
  expect(wrapped.ciphertext).toBe(envelope.ciphertext);
  expect(decryptValue(wrapped, binding, [next])).toEqual(value);
  expect(() => decryptValue(wrapped, binding, [master])).toThrow("which is not here");
});

test("the same value is never stored twice in the same way", () => {
  const [one, two] = [encryptValue(value, binding, master), encryptValue(value, binding, master)];
  expect(Buffer.from(one.ciphertext).equals(two.ciphertext)).toBe(false);
});
