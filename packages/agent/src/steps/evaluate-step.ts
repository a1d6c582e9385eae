import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { EvaluateStep, QuantizeStep } from "@kedge/proto";
import { modelServerProgram } from "../serving/replica-spec.ts";
import { resolveInside } from "../tasks/workspace.ts";
import { listModelFiles } from "./model-files.ts";
import { runCommand } from "./run-step.ts";
import type { StepContext, StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";
import { readMetricsFile } from "./step-files.ts";

const HANDLER = "handler.mjs";
const DEFAULT_MIN_ELEMENTS = 1024;

/**
 * Runs a model on labelled examples, in a process of its own as a run step has: its handler is the job's code.
 * Metrics: examples, accuracy or mean_absolute_error and root_mean_square_error, latency_ms_mean, latency_ms_p95.
 *
 * @throws StepFailure as runStep; the log has the line at fault.
 */
export async function evaluateStep(context: StepContext, action: EvaluateStep): Promise<StepResult> {
  const { workspace } = context;
  const modelDir = await resolveInside(workspace, action.path, "model.evaluate");
  if (!(await stat(modelDir)).isDirectory()) {
    throw new StepFailure("INVALID", `model.evaluate: ${action.path} is not a folder with a model in it`);
  }
  // Links would be read from where they lead.
  const files = await listModelFiles(workspace, action.path);
  if (context.offer.job?.image && files.some(({ path }) => path === HANDLER)) {
    throw new StepFailure(
      "INVALID",
      `model.evaluate: ${HANDLER} would run outside of the job's image; give the job none`,
    );
  }
  const data = await fileInside(workspace, action.data, "model.data");
  const options = { "model-dir": modelDir, data, output: action.output, tolerance: String(action.tolerance) };
  return runTool(context, "evaluate", options);
}

/**
 * Stores the weights of an ONNX file as 8-bit integers.
 * Metrics: bytes_before, bytes_after, size_ratio, quantized_weights, max_weight_error.
 *
 * @throws StepFailure as runStep; the log says why.
 */
export async function quantizeStep(context: StepContext, action: QuantizeStep): Promise<StepResult> {
  const { workspace } = context;
  const input = await fileInside(workspace, action.path, "model.quantize");
  const folder = await resolveInside(workspace, dirname(action.output), "model.output");
  const output = join(folder, basename(action.output));
  if (output === folder || basename(action.output) === "..")
    throw new StepFailure("INVALID", "model.output: not a file's name");
  const minElements = action.minElements === 0 ? DEFAULT_MIN_ELEMENTS : action.minElements;
  return runTool(context, "quantize", { input, output, "min-elements": String(minElements) });
}

async function fileInside(workspace: string, path: string, field: string): Promise<string> {
  const file = await resolveInside(workspace, path, field);
  if (!(await stat(file)).isFile()) throw new StepFailure("INVALID", `${field}: ${path} is not a file`);
  return file;
}

async function runTool(
  context: StepContext,
  tool: "evaluate" | "quantize",
  options: Readonly<Record<string, string>>,
): Promise<StepResult> {
  const { workspace, index, runtimes } = context;
  if (runtimes.process === undefined) {
    throw new StepFailure("INFRASTRUCTURE", `model.${tool} needs a node that runs plain processes`);
  }
  const folder = dirname(workspace);
  const result = `${tool}.${index}.json`;
  // As one word each: a value may begin with a dash.
  const words = Object.entries({ ...options, result: join(folder, result) }).map(
    ([name, value]) => `--${name}=${value}`,
  );
  await runCommand(context, [...modelServerProgram(runtimes.modelServerEntry), tool, ...words], "");
  return { outputs: {}, metrics: await readMetricsFile(folder, result) };
}
