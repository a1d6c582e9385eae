import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type FollowLogsOptions, followLogs, LogLines } from "@kedge/client";
import { KedgeError } from "@kedge/domain";
import { type StreamLogsResponse, StreamLogsResponseSchema } from "@kedge/proto";
import { foldedSteps } from "./output/folded-logs.ts";
import { LogPrinter } from "./output/log-printer.ts";
import type { Session } from "./session.ts";

/** Which logs to print, and how. */
export interface LogSelection extends Omit<FollowLogsOptions, "signal" | "clock"> {
  readonly timestamps?: boolean;
  /** The bytes that were written, without names, and not made harmless. */
  readonly raw?: boolean;
  /** Without any colours, also of the programs' own. */
  readonly noColor?: boolean;
  /** Under a header for each step, with the lines of those that failed, or of all. */
  readonly byStep?: "failed" | "all";
}

/** Prints a run's logs: answers with --json, else lines under the name of their job. */
export async function printLogs(session: Session, selection: LogSelection): Promise<void> {
  if (selection.byStep !== undefined) return printFolded(session, selection, selection.byStep);
  const { client, output, signal } = session;
  const answers = followLogs(client, { ...selection, signal });
  if (output.json) {
    for await (const answer of answers) output.item(StreamLogsResponseSchema, answer, () => []);
  } else if (selection.raw === true) await printRaw(session, answers);
  else await printLines(session, answers, selection);
}

/** All lines of an answer in one write: a large log has millions of them. */
async function printLines(
  { output }: Session,
  answers: AsyncIterable<StreamLogsResponse>,
  { timestamps = false, noColor = false, ...parts }: LogSelection,
): Promise<void> {
  const isWhole = [parts.step, parts.tail, parts.sinceMs, parts.failed].every((part) => part === undefined);
  const coloured = output.isColoured && !noColor;
  const printer = new LogPrinter({ timestamps, coloured, keepsColours: !noColor });
  const lines = new LogLines();
  const tasks = new Set<string>();
  for await (const answer of answers) {
    const { job, chunk, excerpt, summary } = answer;
    const taskId = chunk?.ref?.taskId ?? "";
    if (isWhole && chunk !== undefined && chunk.sequence > 1n && !tasks.has(taskId)) {
      output.progress(`the beginning of the log of ${job} is not kept any more`);
    }
    tasks.add(taskId);
    output.text(
      lines
        .push(answer)
        .map((line) => `${printer.line(line)}\n`)
        .join(""),
    );
    if (excerpt !== undefined) {
      output.raw(printer.excerpt(job, excerpt, excerpt.at === undefined ? 0 : timestampMs(excerpt.at)));
    }
    if (summary !== undefined) output.progress(printer.summary(summary));
  }
  output.text(
    lines
      .rest()
      .map((line) => `${printer.line(line)}\n`)
      .join(""),
  );
}

async function printRaw({ output }: Session, answers: AsyncIterable<StreamLogsResponse>): Promise<void> {
  const decoders = new Map<string, InstanceType<typeof TextDecoder>>();
  for await (const { chunk, excerpt } of answers) {
    if (excerpt?.found === true) output.raw(excerpt.text);
    if (chunk === undefined) continue;
    const key = JSON.stringify([chunk.ref?.taskId, chunk.step, chunk.stream]);
    const decoder = decoders.get(key) ?? new TextDecoder();
    decoders.set(key, decoder);
    output.text(decoder.decode(chunk.data, { stream: true }));
  }
}

/** Each step of an ended run under its header; the lines of closed ones are not even read. */
async function printFolded(session: Session, selection: LogSelection, opens: "failed" | "all"): Promise<void> {
  const { client, output } = session;
  if (selection.follow === true || output.json || selection.raw === true) {
    throw new KedgeError("INVALID_OPTION", "--by-step does not go with --follow, --json or --raw", {
      field: "--by-step",
    });
  }
  const { run } = await client.runs.getRun({ runId: selection.runId });
  if (run === undefined) return;
  for (const { job, step, header, isOpen } of foldedSteps(run, opens)) {
    if ((selection.job ?? job) !== job || (selection.step ?? step) !== step) continue;
    output.raw(output.bold(header));
    const { byStep: _, ...rest } = selection;
    if (isOpen) await printLogs(session, { ...rest, job, step });
  }
}
