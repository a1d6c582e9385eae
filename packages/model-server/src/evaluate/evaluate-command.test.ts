import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MODEL_SERVER_ENTRY } from "../entry.ts";
import { sumAndProductModel } from "../testing/onnx-models.ts";

const run = promisify(execFile);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-evaluate-"));
  // Its labels are "first" and "second", by which of the two sums is larger.
  await writeFile(join(folder, "model.onnx"), sumAndProductModel());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function evaluate(lines: readonly string[], ...options: string[]): Promise<Record<string, number>> {
  const [data, result] = [join(folder, "data.jsonl"), join(folder, "result.json")];
  await writeFile(data, lines.join("\n"));
  const program = ["-C", "kedge-source", MODEL_SERVER_ENTRY, "evaluate"];
  await run(process.execPath, [
    ...program,
    `--model-dir=${folder}`,
    `--data=${data}`,
    `--result=${result}`,
    ...options,
  ]);
  return JSON.parse(await readFile(result, "utf8"));
}

const line = (a: unknown, b: unknown, expected: unknown) => JSON.stringify({ inputs: { a, b }, expected });

describe("evaluating", () => {
  it("counts labels that are right", async () => {
    const lines = [line([9, 1], [1, 1], "first"), line([[1, 9]], [1, 1], "first"), "", line([1, 9], [0, 0], "second")];
    const metrics = await evaluate(lines);
    expect(metrics).toMatchObject({ examples: 3, accuracy: 2 / 3 });
    expect(metrics).not.toHaveProperty("mean_absolute_error");
    expect(metrics["latency_ms_p95"]).toBeGreaterThanOrEqual(metrics["latency_ms_mean"] ?? 0);
  });

  it("measures numbers of an output, and judges them with a tolerance", async () => {
    const lines = [line([1, 2], [3, 4], [4, 6]), line([1, 2], [3, 4], [4, 8])];
    const measured = await evaluate(lines, "--output=sum");
    expect(measured).toMatchObject({ examples: 2, mean_absolute_error: 0.5, root_mean_square_error: 1 });
    expect(measured).not.toHaveProperty("accuracy");
    expect(await evaluate(lines, "--output=sum", "--tolerance=0.5")).toMatchObject({ accuracy: 0.5 });
  });

  it("takes a number for the place of the largest element", async () => {
    const lines = [line([5, 2], [3, 4], 0), line([5, 2], [3, 4], 1)];
    expect(await evaluate(lines, "--output=product")).toMatchObject({ accuracy: 0.5 });
  });

  it.each([
    [["{", "line 1: example is not valid JSON"]],
    [[line([1, 2], [3, 4], "first"), line([1, 2, 3], [3, 4], "first"), "line 2: tensor 'a': expected datatype FP32"]],
    [[line([1, 2], [3, 4], null), "line 1: expected: a label, a number, or a list"]],
    [[line([1, 2], [3, 4], [1]), "line 1: expected has 1 numbers, the output 2"]],
    [[line([1, 2], undefined, 1), "line 1: tensor 'b': missing"]],
    [['{"inputs":{},"labels":1}', 'line 1: "labels" is neither inputs nor expected']],
    [["", "the file holds no examples"]],
  ])("names the line at fault", async (lines) => {
    await expect(evaluate(lines.slice(0, -1))).rejects.toThrow(lines.at(-1));
  });

  it("knows its outputs", async () => {
    await expect(evaluate([line([1, 2], [3, 4], 1)], "--output=x")).rejects.toThrow('no output "x", only sum, product');
  });
});
