import { expect, test } from "vitest";
import { compressZstd, decompressZstd } from "./zstd.ts";

test("what is compressed comes back, and no more of it than is wanted", () => {
  const bytes = Buffer.from("a line of a log\n".repeat(1000));
  const frame = compressZstd(bytes);
  if (frame === undefined) throw new Error("not compressed");
  expect(frame.length).toBeLessThan(bytes.length / 10);
  expect(Buffer.from(decompressZstd(frame, bytes.length))).toEqual(bytes);
  expect(() => decompressZstd(frame, bytes.length - 1)).toThrow();
  expect(() => decompressZstd(bytes, bytes.length)).toThrow();
});

test("what does not become smaller stays as it is", () => {
  expect(compressZstd(Uint8Array.from({ length: 200 }, (_, n) => (n * 7919) % 251))).toBeUndefined();
});
