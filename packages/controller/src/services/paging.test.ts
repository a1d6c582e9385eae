import fc from "fast-check";
import { expect, test } from "vitest";
import { pageOf } from "./paging.ts";

const keys = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 30 });

test("pages add up to the whole, in either order, whatever their size", () => {
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 7 }), fc.boolean(), (names, pageSize, descending) => {
      const sorted = names.toSorted((a, b) => (a < b === descending ? 1 : -1));
      const seen: string[] = [];
      let pageToken = "";
      do {
        const page = pageOf(sorted, (name) => name, { pageSize, pageToken, descending, bytesOf: () => 900_000 });
        seen.push(...page.items);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      expect(seen).toEqual(sorted);
    }),
  );
});

test("items that go meanwhile shift nothing", () => {
  const request = { pageSize: 2, descending: true };
  const first = pageOf(["d", "c", "b", "a"], (name) => name, { ...request, pageToken: "" });
  expect(pageOf(["a"], (name) => name, { ...request, pageToken: first.nextPageToken }).items).toEqual(["a"]);
  expect(pageOf(["d"], (name) => name, { ...request, pageToken: first.nextPageToken }).items).toEqual([]);
});

test("a token of somebody else's is refused", () => {
  expect(() => pageOf(["a"], (name) => name, { pageSize: 1, pageToken: "???" })).toThrow("page token");
});
