import { create } from "@bufbuild/protobuf";
import { LogChunkSchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogOrder, type PlacedChunk } from "./log-order.ts";

const placed = (sequence: number, position: number, taskId = "t", bytes = 1): PlacedChunk => ({
  chunk: create(LogChunkSchema, { ref: { taskId }, sequence: BigInt(sequence), data: new Uint8Array(bytes) }),
  position,
});
const numbers = (chunks: readonly PlacedChunk[]): number[] => chunks.map(({ chunk }) => Number(chunk.sequence));

describe("LogOrder", () => {
  it("gives each chunk once and in order, whatever is stored twice or behind later ones", () => {
    const stored = fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom("t", "u")), { maxLength: 60 });
    fc.assert(
      fc.property(stored, (chunks) => {
        const order = new LogOrder();
        const all = [["t", 1] as const, ["u", 1] as const, ...chunks.map(([n, task]) => [task, n] as const)];
        for (let n = 1; n <= 12; n += 1) all.push(["t", n], ["u", n]);
        const got = all.flatMap(([task, n], index) => order.take(placed(n, index + 1, task)));
        for (const task of ["t", "u"]) {
          const own = got.filter(({ chunk }) => chunk.ref?.taskId === task);
          expect(numbers(own)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        }
        expect(order.rest()).toEqual([]);
      }),
    );
  });

  it("begins with what there is, or behind what the reader has", () => {
    const order = new LogOrder({ u: 5n });
    expect(numbers(order.take(placed(41, 1)))).toEqual([41]);
    expect(numbers(order.take(placed(40, 2)))).toEqual([]);
    expect(numbers(order.take(placed(5, 3, "u")))).toEqual([]);
    expect(numbers(order.take(placed(7, 4, "u")))).toEqual([]);
    expect(order.safePosition(4)).toBe(3);
    expect(numbers(order.take(placed(6, 5, "u")))).toEqual([6, 7]);
    expect(order.safePosition(5)).toBe(5);
  });

  it("gives up on a chunk that is lost when too much waits, or nothing more comes", () => {
    const order = new LogOrder();
    const mib = 1024 * 1024;
    const got = [1, 3, 4, 5, 6, 7].flatMap((n) => numbers(order.take(placed(n, n, "t", 4 * mib))));
    expect(got).toEqual([1, 3, 4, 5, 6, 7]);
    expect(numbers(order.take(placed(9, 9)))).toEqual([]);
    expect(numbers(order.rest())).toEqual([9]);
  });
});
