import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fitsGlob, fitsGlobs } from "./glob.ts";

describe("a glob", () => {
  it.each([
    ["main", "main", true],
    ["main", "mainly", false],
    ["release/*", "release/1.2", true],
    ["release/*", "release/1/2", false],
    ["release/**", "release/1/2", true],
    ["**/*.ts", "a.ts", true],
    ["**/*.ts", "a/b/c.ts", true],
    ["src/**/x", "src/x", true],
    ["src/**/x", "src/a/b/x", true],
    ["src/**/x", "srcx", false],
    ["**", "any/thing", true],
    ["v?.[0-9]", "v1.7", true],
    ["v?.[!0-9]", "v1.7", false],
    ["{main,dev}", "dev", true],
    ["{main,dev}/{a,b}", "main/b", true],
    ["a.b", "axb", false],
    ["docs/", "docs/x", false],
  ])("%s against %s: %s", (glob, value, fits) => {
    expect(fitsGlob(value, glob)).toBe(fits);
  });

  it("counts the last of a list that fits", () => {
    expect(fitsGlobs("docs/a.md", ["**", "!docs/**"])).toBe(false);
    expect(fitsGlobs("docs/a.md", ["**", "!docs/**", "docs/a.*"])).toBe(true);
    expect(fitsGlobs("src/a.ts", ["!docs/**"])).toBe(true);
    expect(fitsGlobs("docs/a.md", ["!docs/**"])).toBe(false);
    expect(fitsGlobs("x", [])).toBe(true);
  });

  it("fits what it is made of, whatever that is", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "-") }), (text) => {
        expect(fitsGlob(text, text)).toBe(true);
        expect(fitsGlob(text, "**")).toBe(true);
      }),
    );
  });

  it("takes steps in proportion to the lengths, however hostile", () => {
    expect(fitsGlob("a".repeat(4000), `${"*a".repeat(100)}b`)).toBe(false);
    expect(fitsGlob("a".repeat(200), "{a,aa}".repeat(30))).toBe(false);
  });
});
