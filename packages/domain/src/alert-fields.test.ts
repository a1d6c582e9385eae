import { describe, expect, test } from "vitest";
import {
  baseUrlProblem,
  headerNameProblem,
  headerValueProblem,
  patternProblem,
  REDACTED,
  signingSecretProblem,
  urlProblem,
} from "./alert-fields.ts";

describe("fields of an alert policy", () => {
  test.each([
    "https://hooks.slack.com/services/T0/B0/x",
    "http://10.0.0.1:9093/",
    "http://[::1]:80/a?b=c",
    `https://hooks.slack.com/${REDACTED}`,
  ])("%s is an address", (url) => expect(urlProblem(url)).toBeUndefined());

  test.each([
    "",
    "hooks.slack.com",
    "ftp://a/",
    "file:///etc/passwd",
    "gopher://a/",
    "http://user@a/",
    "http://a:b@c/",
    "http://a/#b",
    "http://a/ b",
    `http://a/${"x".repeat(2000)}`,
  ])("%s is none", (url) => expect(urlProblem(url)).toMatch(/http/));

  test("paths are put after addresses without a query only", () => {
    expect(baseUrlProblem("http://a:9093/alerts")).toBeUndefined();
    expect(baseUrlProblem("http://a:9093/?x=")).toMatch(/query/);
    expect(baseUrlProblem("a")).toMatch(/http/);
  });

  test("secrets have 24 to 64 bytes", () => {
    const secret = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 7).toString("base64")}`;
    expect([23, 24, 25, 26, 63, 64, 65].map((n) => signingSecretProblem(secret(n)) === undefined)).toEqual([
      false,
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
    expect(signingSecretProblem(REDACTED)).toBeUndefined();
    expect(signingSecretProblem("whsec_")).toBeDefined();
    expect(signingSecretProblem("hunter2")).toBeDefined();
  });

  test("headers cannot change the request", () => {
    expect(headerNameProblem("X-Team")).toBeUndefined();
    for (const name of ["Host", "content-length", "Transfer-Encoding", "webhook-id", "__proto__"]) {
      expect(headerNameProblem(name)).toMatch(/does not make/);
    }
    for (const name of ["", "a b", "a:b", "a\r\nb"]) expect(headerNameProblem(name)).toMatch(/name of/);
    expect(headerValueProblem("Bearer x")).toBeUndefined();
    for (const value of ["", "  ", "a\r\nb: c", "ä"]) expect(headerValueProblem(value)).toBeDefined();
  });

  test("patterns are names with stars", () => {
    for (const pattern of ["vad", "vad-*", "*", "*-a-*"]) expect(patternProblem(pattern)).toBeUndefined();
    for (const pattern of ["", "A", "a.b", "a|b", "a".repeat(81)]) expect(patternProblem(pattern)).toBeDefined();
  });
});
