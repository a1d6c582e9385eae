import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { createLogger, systemClock } from "@kedge/kernel";
import { NO_METRICS } from "../handler-metrics.ts";
import { Model } from "../model.ts";
import { inLine, parseExample } from "./example.ts";
import { Score } from "./score.ts";

interface EvaluateOptions {
  readonly modelDir: string;
  readonly data: string;
  readonly result: string;
  /** Empty: the label, else the first output. */
  readonly output: string;
  readonly tolerance: number;
}

const P95 = 0.95;

/**
 * `evaluate --model-dir DIR --data FILE --result FILE [--output NAME] [--tolerance X]`: runs a model with its handler on
 * labelled examples, one JSON document a line, and writes how good and how fast it was, as JSON. Latency is of handler and
 * model together, one example at a time; the first one is run twice and measured once.
 *
 * @throws KedgeError INVALID_OPTION; INVALID_MODEL; INVALID_FIELD, naming the line.
 */
export async function evaluateCommand(args: readonly string[], signal: AbortSignal): Promise<void> {
  const options = readOptions(args);
  const model = await Model.load({
    ...{ modelDir: options.modelDir, name: "evaluation", version: "0", threads: 1, clock: systemClock },
    ...{ logger: createLogger({ name: "model-server", level: "warn" }), metrics: NO_METRICS },
    ...{ flags: () => undefined, attributes: { targetingKey: "evaluation" } },
  });
  try {
    const metrics = await evaluate(model, options, signal);
    await writeFile(options.result, JSON.stringify(metrics));
    process.stdout.write(
      `${Object.entries(metrics)
        .map(([name, value]) => `${name} ${Number(value.toPrecision(6))}`)
        .join(", ")}\n`,
    );
  } finally {
    await model.release();
  }
}

async function evaluate(model: Model, options: EvaluateOptions, signal: AbortSignal): Promise<Record<string, number>> {
  const score = new Score(options.tolerance);
  const latencies: number[] = [];
  const named = options.output !== "";
  const lines = createInterface({
    input: createReadStream(options.data, { signal }),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() === "") continue;
    try {
      const { inputs, expected } = parseExample(line, model.signature);
      const request = { parameters: {}, inputs, outputNames: undefined };
      // The first run of a model does more than the others.
      if (latencies.length === 0) await model.infer(request, signal);
      const start = systemClock.monotonic();
      const { outputs, label } = await model.infer(request, signal);
      latencies.push(systemClock.monotonic() - start);
      if (named && !Object.hasOwn(outputs, options.output)) {
        throw new KedgeError(
          "INVALID_FIELD",
          `the model has no output "${options.output}", only ${Object.keys(outputs).join(", ")}`,
        );
      }
      const output = named ? outputs[options.output] : Object.values(outputs)[0];
      score.add({ label, output, named }, expected);
    } catch (error) {
      signal.throwIfAborted();
      throw isKedgeError(error) ? inLine(number, error) : error;
    }
  }
  if (latencies.length === 0) throw new KedgeError("INVALID_FIELD", "the file holds no examples", { field: "data" });
  return { ...score.metrics, ...latencyMetrics(latencies) };
}

function latencyMetrics(latencies: readonly number[]): Record<string, number> {
  const sorted = latencies.toSorted((a, b) => a - b);
  const mean = sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length;
  return { latency_ms_mean: mean, latency_ms_p95: sorted[Math.ceil(sorted.length * P95) - 1] ?? mean };
}

function readOptions(args: readonly string[]): EvaluateOptions {
  const text = { type: "string" } as const;
  const options = { "model-dir": text, data: text, result: text, output: text, tolerance: text };
  const { values } = parseArgs({ args: [...args], options });
  const { "model-dir": modelDir, data, result, output = "" } = values;
  const tolerance = Number(values.tolerance ?? "0");
  if (modelDir === undefined || data === undefined || result === undefined || !(tolerance >= 0)) {
    const usage = "usage: evaluate --model-dir DIR --data FILE --result FILE [--output NAME] [--tolerance X]";
    throw new KedgeError("INVALID_OPTION", usage);
  }
  return { modelDir, data, result, output, tolerance };
}
