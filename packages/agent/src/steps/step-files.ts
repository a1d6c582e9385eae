import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { errorMessage } from "@kedge/domain";
import { resolveInside } from "../tasks/workspace.ts";
import { StepFailure } from "./step-failure.ts";

const MAX_FILE_BYTES = 256 * 1024;
const MAX_ENTRIES = 256;
const MAX_KEY_LENGTH = 128;
const MAX_VALUE_LENGTH = 8192;
const METRIC_NAME = /^[A-Za-z_][A-Za-z0-9_.:/-]*$/;
const OUTPUT_NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/**
 * Reads a step's metrics file: a flat JSON object of finite numbers.
 *
 * @throws StepFailure INVALID when it is missing, too large or anything else.
 */
export async function readMetricsFile(workspace: string, path: string): Promise<Record<string, number>> {
  return parseMetrics(await readStepFile(workspace, path, "metrics_file"), path);
}

/**
 * Reads a step's outputs file: KEY=VALUE lines; empty lines and lines that start with # are skipped.
 *
 * @throws StepFailure INVALID when it is missing, too large or malformed.
 */
export async function readOutputsFile(workspace: string, path: string): Promise<Record<string, string>> {
  return parseOutputs(await readStepFile(workspace, path, "outputs_file"), path);
}

/** Parses the text of a metrics file; see readMetricsFile. */
export function parseMetrics(text: string, path: string): Record<string, number> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`metrics_file ${path} is not JSON: ${errorMessage(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`metrics_file ${path} is not a JSON object`);
  }
  const entries = Object.entries(value);
  if (entries.length > MAX_ENTRIES) throw invalid(`metrics_file ${path} has more than ${MAX_ENTRIES} metrics`);
  const metrics: [string, number][] = [];
  for (const [name, metric] of entries) {
    if (name.length > MAX_KEY_LENGTH || !METRIC_NAME.test(name)) {
      throw invalid(`metrics_file ${path}: ${quote(name)} is not a metric name`);
    }
    if (typeof metric !== "number" || !Number.isFinite(metric)) {
      throw invalid(`metrics_file ${path}: ${quote(name)} is not a finite number`);
    }
    metrics.push([name, metric]);
  }
  return Object.fromEntries(metrics);
}

/** Parses the text of an outputs file; see readOutputsFile. */
export function parseOutputs(text: string, path: string): Record<string, string> {
  const outputs = new Map<string, string>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line.trim() === "" || line.startsWith("#")) continue;
    const at = line.indexOf("=");
    const name = at < 0 ? "" : line.slice(0, at);
    const value = line.slice(at + 1);
    if (name.length > MAX_KEY_LENGTH || !OUTPUT_NAME.test(name)) {
      throw invalid(`outputs_file ${path}, line ${index + 1}: expected KEY=VALUE, got ${quote(line)}`);
    }
    if (value.length > MAX_VALUE_LENGTH) {
      throw invalid(`outputs_file ${path}, line ${index + 1}: the value is longer than ${MAX_VALUE_LENGTH} characters`);
    }
    outputs.set(name, value);
    if (outputs.size > MAX_ENTRIES) throw invalid(`outputs_file ${path} has more than ${MAX_ENTRIES} outputs`);
  }
  return Object.fromEntries(outputs);
}

async function readStepFile(workspace: string, path: string, field: string): Promise<string> {
  const full = await resolveInside(workspace, path, field);
  // A step may leave a FIFO where the file should be: never wait for its writer.
  await using file = await open(full, constants.O_RDONLY | constants.O_NONBLOCK);
  const stats = await file.stat();
  if (!stats.isFile()) throw invalid(`${field} ${path} is not a file`);
  if (stats.size > MAX_FILE_BYTES) throw invalid(`${field} ${path} is larger than ${MAX_FILE_BYTES} bytes`);
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  return buffer.toString("utf8", 0, Math.min(bytesRead, MAX_FILE_BYTES));
}

function invalid(message: string): StepFailure {
  return new StepFailure("INVALID", message);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
