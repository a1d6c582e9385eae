import { expect, test } from "vitest";
import { errorMessage, isKedgeError, KedgeError } from "./error.ts";
import { ERROR_REASONS, ErrorCode, type ErrorReason } from "./error-reasons.ts";

const entries = Object.entries(ERROR_REASONS);

test.each(entries)("%s is documented and has a code", (reason, { code, meaning }) => {
  expect(reason).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
  expect(ErrorCode[code]).toBeGreaterThan(0);
  expect(meaning).toMatch(/^[A-Z].*\.$/);
});

test("no two reasons mean the same", () => {
  expect(new Set(entries.map(([, { meaning }]) => meaning)).size).toBe(entries.length);
});

test("code, status and whether to retry follow from the reason", () => {
  for (const reason of Object.keys(ERROR_REASONS) as ErrorReason[]) {
    const error = new KedgeError(reason, "m");
    expect(error).toMatchObject({ reason, ...pick(reason), status: ErrorCode[ERROR_REASONS[reason].code] });
  }
});

test("keeps its cause, and is told from others", () => {
  const cause = new Error("below");
  const error = new KedgeError("CONFLICT", "lost", { cause, field: "f", hint: "h" });
  expect(error).toMatchObject({ cause, field: "f", hint: "h", details: {} });
  expect("cause" in new KedgeError("CONFLICT", "lost")).toBe(false);
  expect(isKedgeError(error, "CONFLICT")).toBe(true);
  expect(isKedgeError(error, "INTERNAL")).toBe(false);
  expect(isKedgeError(cause)).toBe(false);
  expect([errorMessage(cause), errorMessage("text"), errorMessage(undefined)]).toEqual(["below", "text", "undefined"]);
});

function pick(reason: ErrorReason): { code: string; retryable: boolean } {
  const { code, retryable } = ERROR_REASONS[reason];
  return { code, retryable };
}
