import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

describe("LineSplitter", () => {
  it("gives the lines of a text, however its bytes were cut", () => {
    const line = fc.string({ unit: "binary" }).map((text) => text.replace(/[\r\n]/g, ""));
    const property = fc.property(fc.array(line), fc.integer({ min: 1, max: 9 }), (lines, size) => {
      const seen: string[] = [];
      const splitter = new LineSplitter((text) => seen.push(text));
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
      for (let at = 0; at < bytes.length; at += size) splitter.push(bytes.subarray(at, at + size));
      splitter.end();
      expect(seen).toEqual(lines);
    });
    fc.assert(property);
  });

  it("passes on a line without an end, and one without bounds in parts", () => {
    const seen: string[] = [];
    const splitter = new LineSplitter((text) => seen.push(text));
    splitter.push("a\r\n");
    for (let i = 0; i < 3; i++) splitter.push("x".repeat(40_000));
    splitter.push("end");
    splitter.end();
    expect(seen.map((text) => text.length)).toEqual([1, 80_000, 40_003]);
  });
});
