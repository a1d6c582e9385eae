import fc from "fast-check";
import { expect, it } from "vitest";
import { formatCpu, formatDuration, formatMebibytes, parseCpu, parseDuration, parseMebibytes } from "./quantities.ts";

const amountOf = (quantity: ReturnType<typeof parseCpu>) => ("value" in quantity ? quantity.value : undefined);

it.each([
  ["0s", 0],
  ["90s", 90],
  ["1h30m", 5400],
  ["30d", 2_592_000],
  ["31d", undefined],
  ["", undefined],
  ["10", undefined],
  ["1.5h", undefined],
  ["-1s", undefined],
  ["1H", undefined],
])("duration %j", (text, expected) => expect(amountOf(parseDuration(text))).toBe(expected));

it.each([
  ["500m", 500],
  ["2", 2000],
  ["0.25", 250],
  ["0", undefined],
  ["0.5m", undefined],
  ["1e3", undefined],
  ["1001", undefined],
])("cpu %j", (text, expected) => expect(amountOf(parseCpu(text))).toBe(expected));

it("a team's cpu may be more than a node's", () => {
  expect(parseCpu("1001", 1_000_000)).toEqual({ value: 1_001_000 });
});

it("amounts are read back as they were written", () => {
  const check = (max: number, isRead: (value: number) => boolean) =>
    fc.assert(fc.property(fc.integer({ min: 1, max }), isRead));
  check(30 * 86_400, (value) => amountOf(parseDuration(formatDuration(value))) === value);
  check(1_000_000, (value) => amountOf(parseCpu(String(formatCpu(value)))) === value);
  check(2 ** 30, (value) => amountOf(parseMebibytes(formatMebibytes(value))) === value);
});

it.each([
  ["512Mi", 512],
  ["1.5Gi", 1536],
  ["0.1Mi", 1],
  ["2Ti", 2_097_152],
  ["512", undefined],
  ["512M", undefined],
  ["0Mi", undefined],
  ["2048Ti", undefined],
])("memory %j", (text, expected) => expect(amountOf(parseMebibytes(text))).toBe(expected));
