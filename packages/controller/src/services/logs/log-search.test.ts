import { create } from "@bufbuild/protobuf";
import { type LogChunk, LogChunkSchema, LogStream } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogSearch, streamKey } from "./log-search.ts";

const chunk = (text: string, step = "a", stream = LogStream.STDOUT): LogChunk =>
  create(LogChunkSchema, { ref: { taskId: "t" }, step, stream, data: Buffer.from(text) });

function search(text: string, context: number, chunks: readonly LogChunk[]) {
  const found = new LogSearch({ text, context });
  const excerpts = chunks.flatMap((each) => found.push(each));
  excerpts.push(...found.finish(new Map(chunks.map((each) => [streamKey(each), each]))));
  return { shown: excerpts.map(({ line, found: is, text: shown }) => `${line}${is ? ":" : "-"}${shown}`), found };
}

describe("LogSearch", () => {
  it("numbers the lines of each step and stream, wherever they were cut", () => {
    const chunks = [
      chunk("one\ntw"),
      chunk("xx two\n", "b"),
      chunk("o\nthree two\r\n"),
      chunk("two", "a", LogStream.STDERR),
    ];
    const { shown, found } = search("two", 0, chunks);
    expect(shown).toEqual(["1:xx two", "2:two", "3:three two", "1:two"]);
    expect(found.counts).toEqual({ found: 4n, lines: 5n });
  });

  it("shows lines around what was found, each once", () => {
    const text = "1\n2\n3 x\n4\n5\n6\n7 x\n8 x\n9\n10\n11\n12\n";
    expect(search("x", 2, [chunk(text)]).shown).toEqual([
      "1-1",
      "2-2",
      "3:3 x",
      "4-4",
      "5-5",
      "6-6",
      "7:7 x",
      "8:8 x",
      "9-9",
      "10-10",
    ]);
    expect(search("x", 0, [chunk(text)]).shown).toEqual(["3:3 x", "7:7 x", "8:8 x"]);
  });

  it("finds what a line by line search finds, however the log is cut", () => {
    const log = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 80 });
    const needle = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(log, needle, fc.nat(2), fc.integer({ min: 1, max: 9 }), (text, wanted, context, size) => {
        const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
        const lines = text.split("\n").filter((line, index, all) => line !== "" || index < all.length - 1);
        const near = (at: number): boolean =>
          lines.slice(Math.max(0, at - context), at + context + 1).some((l) => l.includes(wanted));
        const expected = lines.flatMap((line, at) =>
          near(at) ? [`${at + 1}${line.includes(wanted) ? ":" : "-"}${line}`] : [],
        );
        expect(
          search(
            wanted,
            context,
            pieces.map((piece) => chunk(piece)),
          ).shown,
        ).toEqual(expected);
      }),
    );
  });

  it("takes a line without end in pieces, and holds no more of it", () => {
    const chunks = Array.from({ length: 40 }, () => chunk("y".repeat(10_000)));
    const { shown, found } = search("y", 0, [...chunks, chunk("needle\n")]);
    expect(shown.map((line) => line.length)).toHaveLength(7);
    expect(found.counts.lines).toBe(7n);
  });
});
