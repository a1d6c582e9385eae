import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { KedgeError } from "@kedge/domain";
import { loadSession } from "../onnx-session.ts";
import { quantizeModel } from "./quantize-model.ts";

/**
 * `quantize --input FILE --output FILE --min-elements N --result FILE`: writes the smaller model once the runtime has
 * taken it, and what it is worth as JSON.
 *
 * @throws KedgeError INVALID_OPTION, INVALID_MODEL.
 */
export async function quantizeCommand(args: readonly string[]): Promise<void> {
  const { input, output, minElements, result } = readOptions(args);
  const before = await readFile(input);
  const { bytes, weights, maxWeightError } = quantizeModel(before, minElements);
  const next = `${output}.next`;
  // Whatever lies there may be a link to elsewhere.
  await rm(next, { force: true });
  await writeFile(next, bytes, { flag: "wx" });
  try {
    const session = await loadSession(next, 1);
    await session.release();
    await rename(next, output);
  } finally {
    await rm(next, { force: true });
  }
  const sizes = { bytes_before: before.length, bytes_after: bytes.length, size_ratio: bytes.length / before.length };
  await writeFile(result, JSON.stringify({ ...sizes, quantized_weights: weights, max_weight_error: maxWeightError }));
  process.stdout.write(`${weights} weights quantized, ${before.length} bytes became ${bytes.length}\n`);
}

function readOptions(args: readonly string[]) {
  const text = { type: "string" } as const;
  const options = { input: text, output: text, "min-elements": text, result: text };
  const { values } = parseArgs({ args: [...args], options });
  const { input, output, result, "min-elements": min = "1024" } = values;
  if (input === undefined || output === undefined || result === undefined || !/^\d{1,12}$/.test(min)) {
    throw new KedgeError(
      "INVALID_OPTION",
      "usage: quantize --input FILE --output FILE --result FILE [--min-elements N]",
    );
  }
  return { input, output, result, minElements: Number(min) };
}
