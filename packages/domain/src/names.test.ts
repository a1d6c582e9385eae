import fc from "fast-check";
import { expect, test } from "vitest";
import { assertName, editDistance, isName, MAX_NAME_LENGTH, nearNames } from "./names.ts";

test.each(["a", "a1", "edge-1", "a--b", "a".repeat(40)])("%s is a node name", (name) => {
  expect(isName("node", name)).toBe(true);
});

test.each(["", "-a", "a-", "A", "a.b", "a/b", "a b", "a*", "a>", "é", "a\n", "a".repeat(41)])("%j is not", (name) => {
  expect(isName("node", name)).toBe(false);
  expect(() => assertName("node", name, "node_id")).toThrow(
    expect.objectContaining({ reason: "INVALID_FIELD", field: "node_id" }),
  );
});

test("names have the characters of a NATS token and the length of their kind, whatever comes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.constantFrom("node", "job"), (value, kind) => {
      if (!isName(kind, value)) return;
      expect(value).toMatch(/^[a-z0-9-]+$/);
      expect(value.length).toBeLessThanOrEqual(MAX_NAME_LENGTH[kind]);
    }),
  );
});

test("edit distance is a metric", () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, word, (a, b, c) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a));
      expect(editDistance(a, b) === 0).toBe(a === b);
      expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
    }),
  );
  expect(editDistance("kitten", "sitting")).toBe(3);
});

test("near names come nearest first, three at most", () => {
  expect(nearNames("tran", ["deploy", "train", "trim", "train-all", "tran1"])).toEqual(["train", "tran1", "trim"]);
  expect(nearNames("zzzzzz", ["deploy"])).toEqual([]);
});
