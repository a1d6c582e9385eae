import { create } from "@bufbuild/protobuf";
import { MatchKind, RequestKeySchema, type RequestMatch, RequestMatchSchema, RequestSource } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { matchPattern, valuePattern } from "./header-pattern.ts";

/** A header block as HAProxy writes it, byte by byte, as its regular expressions see it. */
function block(headers: readonly (readonly [string, string])[]): string {
  const text = `${headers.map(([name, value]) => `${name.toLowerCase()}: ${value}\r\n`).join("")}\r\n`;
  return Buffer.from(text).toString("latin1");
}

const { HEADER, COOKIE } = RequestSource;
const { EXACT, PREFIX } = MatchKind;

function rule(source: RequestSource, kind = EXACT): RequestMatch {
  return create(RequestMatchSchema, { key: { source, name: "X-Group" }, kind });
}

const value = fc.string({ unit: "binary", minLength: 1, maxLength: 20 }).filter((text) => {
  const isTrimmed = text === text.trim();
  return isTrimmed && Buffer.from(text).every((byte) => byte >= 0x20 && byte !== 0x7f);
});

test("an exact rule matches its value and no other, whatever is in it", () => {
  fc.assert(
    fc.property(value, value, (wanted, sent) => {
      const pattern = new RegExp(matchPattern(rule(HEADER), wanted));
      const headers = block([
        ["host", "a"],
        ["x-group", sent],
        ["y", "1"],
      ]);
      expect(pattern.test(headers)).toBe(Buffer.from(wanted).equals(Buffer.from(sent)));
    }),
  );
});

test("a prefix rule matches what begins with its value", () => {
  fc.assert(
    fc.property(value, value, (wanted, rest) => {
      const pattern = new RegExp(matchPattern(rule(HEADER, PREFIX), wanted));
      expect(pattern.test(block([["x-group", wanted + rest]]))).toBe(true);
    }),
  );
  expect(new RegExp(matchPattern(rule(HEADER, PREFIX), "be")).test(block([["x-group", "a be"]]))).toBe(false);
});

test("a cookie is found wherever it stands, and no part of another one", () => {
  const pattern = new RegExp(matchPattern(rule(COOKIE), "beta"));
  for (const cookies of ["X-Group=beta", "a=1; X-Group=beta", "X-Group=beta; b=2", "a=1;X-Group=beta ;b"]) {
    expect([cookies, pattern.test(block([["cookie", cookies]]))]).toEqual([cookies, true]);
  }
  for (const cookies of ["X-Group=beta2", "aX-Group=beta", "x-group=beta", "a=X-Group=beta", 'X-Group="beta"']) {
    expect([cookies, pattern.test(block([["cookie", cookies]]))]).toEqual([cookies, false]);
  }
});

test("patterns hold nothing that ends a command or an entry of a map", () => {
  fc.assert(
    fc.property(value, fc.constantFrom(EXACT, PREFIX), (wanted, kind) => {
      for (const source of [HEADER, COOKIE]) {
        expect(matchPattern(rule(source, kind), wanted)).toMatch(/^[\w:?|()^\\=*[\]-]+$/);
      }
    }),
  );
});

test("finds the user", () => {
  const header = new RegExp(valuePattern(create(RequestKeySchema, { source: HEADER, name: "X-User" })));
  expect(header.exec(block([["x-user", "bob \\1; é"]]))?.[1]).toBe(Buffer.from("bob \\1; é").toString("latin1"));
  expect(header.test(block([["x-user", ""]]))).toBe(false);
  const cookie = new RegExp(valuePattern(create(RequestKeySchema, { source: COOKIE, name: "uid" })));
  expect(cookie.exec(block([["cookie", "a=1; uid=42; b=2"]]))?.[1]).toBe("42");
});
