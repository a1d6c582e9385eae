import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readOnnxSignature, signatureBreak } from "./onnx-signature.ts";

const PACKAGE = dirname(createRequire(import.meta.url).resolve("@ricky0123/vad-web/package.json"));
const bytesOf = (version: string) => readFileSync(join(PACKAGE, "dist", `silero_vad_${version}.onnx`));
const signatureOf = (version: string) => readOnnxSignature("model.onnx", bytesOf(version));

test("reads the inputs and outputs of real models", () => {
  const { inputs, outputs } = signatureOf("legacy");
  expect(inputs.map(({ name }) => name).toSorted()).toEqual(["c", "h", "input", "sr"]);
  expect(outputs.length).toBeGreaterThan(0);
  expect(
    signatureOf("v5")
      .inputs.map(({ name }) => name)
      .toSorted(),
  ).toEqual(["input", "sr", "state"]);
});

test("a change of inputs breaks callers; the same signature does not", () => {
  expect(signatureBreak(signatureOf("legacy"), signatureOf("v5"))).toMatch(/^input "[hc]" is gone$/);
  expect(signatureBreak(signatureOf("v5"), signatureOf("v5"))).toBeUndefined();
});

test("bytes that are no model are refused, never believed", () => {
  const model = bytesOf("v5");
  expect(() => readOnnxSignature("x", new Uint8Array())).toThrow("x has no graph with outputs");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(model.length), (bytes, cut) => {
      for (const content of [bytes, model.subarray(0, cut)]) {
        try {
          readOnnxSignature("x", content);
        } catch (error) {
          expect(error).toMatchObject({ reason: "INVALID_MODEL" });
        }
      }
    }),
    { numRuns: 30 },
  );
});
