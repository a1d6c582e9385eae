import { execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StepFailure } from "./step-failure.ts";
import { parseMetrics, parseOutputs, readMetricsFile, readOutputsFile } from "./step-files.ts";

describe("parseMetrics", () => {
  it("reads a flat object of numbers", () => {
    expect(parseMetrics('{"accuracy": 0.93, "loss/val": 1e-3}', "m.json")).toEqual({
      accuracy: 0.93,
      "loss/val": 1e-3,
    });
  });

  it.each([
    ["[1]", "not a JSON object"],
    ["{", "not JSON"],
    ['{"a": "1"}', "not a finite number"],
    ['{"a": {"b": 1}}', "not a finite number"],
    ['{"a": 1e999}', "not a finite number"],
    ['{"a b": 1}', "not a metric name"],
  ])("refuses %s", (text, message) => {
    expect(() => parseMetrics(text, "m.json")).toThrow(message);
  });

  it("throws only step failures", () => {
    fc.assert(fc.property(fc.string(), (text) => throwsOnlyFailures(() => parseMetrics(text, "m"))));
    fc.assert(fc.property(fc.json(), (text) => throwsOnlyFailures(() => parseMetrics(text, "m"))));
  });
});

describe("parseOutputs", () => {
  it("reads KEY=VALUE lines", () => {
    expect(parseOutputs("# made by train\nimage=a:1\n\r\nurl=http://x/?a=b\r\nempty=\n", "o")).toEqual({
      image: "a:1",
      url: "http://x/?a=b",
      empty: "",
    });
  });

  it.each(["novalue", "=x", "a b=c", "1a=b"])("refuses %s", (line) => {
    expect(() => parseOutputs(`ok=1\n${line}\n`, "o")).toThrow("line 2: expected KEY=VALUE");
  });

  it("keeps every value and throws only step failures", () => {
    fc.assert(fc.property(fc.string(), (text) => throwsOnlyFailures(() => parseOutputs(text, "o"))));
    const value = fc.string().filter((text) => !/[\n\r]/.test(text));
    const pairs = fc.dictionary(fc.stringMatching(/^[a-z_][a-z0-9_.-]{0,20}$/), value);
    fc.assert(
      fc.property(pairs, (wanted) => {
        const text = Object.entries(wanted).map(([key, each]) => `${key}=${each}\n`);
        expect(parseOutputs(text.join(""), "o")).toEqual(Object.fromEntries(Object.entries(wanted)));
      }),
    );
  });
});

describe("files", () => {
  let dir = "";
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "kedge-step-"));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it("says which file is missing", async () => {
    await expect(readMetricsFile(dir, "out/m.json")).rejects.toThrow(
      "metrics_file: out/m.json does not exist in the workspace",
    );
  });

  it("refuses what lies outside, large files and pipes", async () => {
    await symlink("/etc/hostname", join(dir, "link"));
    await writeFile(join(dir, "large"), Buffer.alloc(300 * 1024, 65));
    execFileSync("mkfifo", [join(dir, "pipe")]);
    await expect(readOutputsFile(dir, "link")).rejects.toThrow("outside the workspace");
    await expect(readOutputsFile(dir, "../x")).rejects.toThrow("outside the workspace");
    await expect(readOutputsFile(dir, "/etc/hostname")).rejects.toThrow("outside the workspace");
    await expect(readOutputsFile(dir, "large")).rejects.toThrow("larger than");
    await expect(readOutputsFile(dir, "pipe")).rejects.toThrow("is not a file");
  });
});

function throwsOnlyFailures(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    return error instanceof StepFailure && error.kind === "INVALID";
  }
}
