import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { JobState, LogExcerptSchema, LogStream, RunSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { foldedSteps } from "./folded-logs.ts";
import { LogPrinter } from "./log-printer.ts";

const plain = { timestamps: false, coloured: false, keepsColours: true };
const line = (text: string, job = "build", stream = LogStream.STDOUT) => ({ job, step: "make", stream, atMs: 0, text });

test("a line stands under its job and step, and can do nothing to a terminal but colour it", () => {
  const printer = new LogPrinter(plain);
  expect(printer.line(line("\u001b[31mred\u001b[0m"))).toBe("build/make | \u001b[31mred\u001b[0m");
  expect(printer.line(line("\u001b[2J\u0007gone", "b\u001b[2Jad"))).toBe("b\ufffd[2Jad/make | \ufffd[2J\ufffdgone");
  expect(printer.line({ ...line("note", "build", LogStream.SYSTEM), step: "" })).toBe("build * note");
});

test("jobs have colours of their own, and what a line leaves on ends with it", () => {
  const printer = new LogPrinter({ ...plain, coloured: true });
  const [a, b, again] = [line("x", "a"), line("\u001b[31mx", "b"), line("y", "a")].map((each) => printer.line(each));
  expect(a).toBe("\u001b[36ma/make\u001b[39m | x");
  expect(b).toBe("\u001b[33mb/make\u001b[39m | \u001b[31mx\u001b[0m");
  expect(again).toBe("\u001b[36ma/make\u001b[39m | y");
});

test("without colours the programs' own go, too; time stamps come first", () => {
  const printer = new LogPrinter({ timestamps: true, coloured: false, keepsColours: false });
  const shown = printer.line({ ...line("\u001b[1;31mred\u001b[0m"), atMs: 1_700_000_000_000 });
  expect(shown).toBe("2023-11-14T22:13:20.000Z build/make | red");
});

test("what was found has its line's number, and what is near it a dash", () => {
  const printer = new LogPrinter(plain);
  const excerpt = (found: boolean) => create(LogExcerptSchema, { step: "make", line: 7n, found, text: "error: x" });
  expect(printer.excerpt("build", excerpt(true), 0)).toBe("build/make 7: error: x");
  expect(printer.excerpt("build", excerpt(false), 0)).toBe("build/make 7- error: x");
  expect(printer.summary({ $typeName: "kedge.v1.LogSearchSummary", found: 1n, lines: 20n })).toBe(
    "found in 1 of 20 lines",
  );
});

test("steps fold to headers with durations; those that failed are open", () => {
  const step = (name: string, state: JobState) => ({
    ...{ name, state },
    startedAt: timestampFromMs(1000),
    finishedAt: timestampFromMs(73_000),
  });
  const steps = [
    step("good", JobState.SUCCEEDED),
    step("bad", JobState.FAILED),
    { name: "later", state: JobState.SKIPPED },
  ];
  const run = create(RunSchema, { jobs: [{ spec: { name: "a" }, steps }] });
  expect(foldedSteps(run, "failed").map(({ header }) => header)).toEqual([
    "> a/good  succeeded  1m12s",
    "v a/bad  failed  1m12s",
    "> a/later  skipped",
  ]);
  expect(foldedSteps(run, "all").every(({ isOpen }) => isOpen)).toBe(true);
});
