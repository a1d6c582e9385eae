import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ERROR_REASONS, KedgeError } from "@kedge/domain";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXIT_CODES, exitOfError } from "./exit-codes.ts";
import { renderTable } from "./output/table.ts";
import { formatBytes, formatPairs, formatSpan, safeLogText, safeText } from "./output/text.ts";
import { errorLine, reportError } from "./print-error.ts";
import { kedge as runLine } from "./testing/command-line.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-cli-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const kedge = (line: string) => runLine(line.split(" "), { folder });

describe("command line", () => {
  test.each([
    ["nonsense", "unknown command"],
    ["node get", "missing required argument"],
    ["node list --nonsense", "unknown option"],
    ["token create --role god", "Allowed choices are viewer, operator, admin"],
    ["token create --ttl soon", "Expected a span"],
    ["run list --limit 0", "Expected a whole number from 1"],
    ["run submit -p novalue", "Expected key=value"],
    ["agent run --runtime podman", "Expected docker, process or both"],
  ])("%s exits 2 and says why", async (line, message) => {
    expect(await kedge(line)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  });

  test("without a controller it says how to get one", async () => {
    const { code, stderr } = await kedge("node list");
    expect(code).toBe(2);
    expect(stderr).toBe(
      "error: INVALID_OPTION: no controller is known (field address). Hint: Start one with kedge up, or give --address or KEDGE_ADDRESS.\n",
    );
  });

  test("a controller that is away exits 7, wherever the options stand", async () => {
    for (const line of ["--address 127.0.0.1:1 node list", "node list --address 127.0.0.1:1"]) {
      expect(await kedge(line)).toMatchObject({ code: 7, stderr: expect.stringContaining("CONTROLLER_UNAVAILABLE") });
    }
  });

  test("agent join needs a token of its own", async () => {
    const { code, stderr } = await kedge("agent join");
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("kedge token create --node") });
  });

  test("a wrong deployment file is shown by place", async () => {
    const file = join(folder, "deployment.yaml");
    await writeFile(file, "deployment: web\nmodle: x\n");
    const { code, stderr } = await kedge(`apply -f ${file} --address 127.0.0.1:1`);
    expect(code).toBe(2);
    expect(stderr).toMatch(/deployment\.yaml:\d+:\d+: error: /);
  });

  test("help and version", async () => {
    expect(await kedge("help errors")).toMatchObject({ code: 0, stdout: expect.stringContaining("MODEL_IN_USE") });
    expect(await kedge("help exit-codes")).toMatchObject({ code: 0, stdout: expect.stringContaining("rolled back") });
    expect(await kedge("help node get")).toMatchObject({ code: 0, stdout: expect.stringContaining("kedge node get") });
    expect(await kedge("version --json")).toMatchObject({ code: 0, stdout: '{"version":"0.1.0"}\n' });
    expect((await kedge("--help")).code).toBe(0);
  });
});

describe("completion", () => {
  test.each(["bash", "zsh", "fish"])("%s knows commands, options and whose names to ask for", async (shell) => {
    const { code, stdout } = await kedge(`completion ${shell}`);
    expect(code).toBe(0);
    for (const part of [
      "queue",
      "why",
      "rebalance",
      "--gpu-share",
      "--team",
      "cordon",
      "rollback",
      "--force-revision",
      "kedge __complete deployments",
      "node drain",
      "quarantine",
      "incident acknowledge",
      "kedge __complete incidents",
      "node release",
    ]) {
      expect(stdout).toContain(part);
    }
    expect(stdout).not.toContain('"__complete');
  });

  test("an unknown shell is refused", async () => {
    expect((await kedge("completion tcsh")).code).toBe(2);
  });
});

describe("errors", () => {
  test("one line: reason, message, field, hint", () => {
    const error = new KedgeError("INVALID_FIELD", "too\nlong", { field: "spec.name", hint: "Shorten it." });
    expect(errorLine(error)).toBe("error: INVALID_FIELD: too long (field spec.name). Hint: Shorten it.");
    expect(errorLine(new Error("\u001b[2Jboom"))).toBe("error: \ufffd[2Jboom");
  });

  test("a stack only when debugging", () => {
    const texts: string[] = [];
    const write = (text: string): void => void texts.push(text);
    expect(reportError(new KedgeError("RUN_NOT_FOUND", "no"), false, write)).toBe("notFound");
    expect(texts.join("")).not.toContain("cli.test");
    reportError(new Error("x"), true, write);
    expect(texts.join("")).toContain("cli.test");
  });

  test("every reason has an exit code other than 0", () => {
    for (const { code } of Object.values(ERROR_REASONS)) expect(EXIT_CODES[exitOfError(code)].code).toBeGreaterThan(0);
  });

  test("exit codes are told apart", () => {
    const codes = Object.values(EXIT_CODES).map((entry) => entry.code);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 124, 130]);
  });
});

describe("text", () => {
  test("tables are aligned, and cut from the widest column", () => {
    const table = {
      columns: ["A", "LONG"],
      rows: [
        ["x", "a very long cell indeed"],
        ["yy", "b"],
      ],
    };
    expect(renderTable(table, undefined)).toEqual(["A   LONG", "x   a very long cell indeed", "yy  b"]);
    const cut = renderTable(table, 16);
    expect(cut).toEqual(["A   LONG", "x   a very long…", "yy  b"]);
    expect(renderTable(table, 3).every((line) => line.length <= 12)).toBe(true);
  });

  test("hostile text cannot drive the terminal", () => {
    expect(safeText("a\u001b]0;x\u0007b\nc\u202ed")).toBe("a\ufffd]0;x\ufffdb c\ufffdd");
    expect(safeLogText("\u001b[31mred\u001b[0m \u001b[2J")).toBe("\u001b[31mred\u001b[0m \ufffd[2J");
  });

  test("spans, sizes and pairs", () => {
    expect([0, 999, 61_000, 3_600_000, 100_000_000, 86_405_000].map(formatSpan)).toEqual([
      "0s",
      "0s",
      "1m1s",
      "1h",
      "1d3h",
      "1d",
    ]);
    expect([0, 1_023, 1_536, 5 * 1_024 ** 3].map(formatBytes)).toEqual(["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
    expect(formatPairs({ b: 2, a: "1" })).toBe("a=1,b=2");
  });
});
