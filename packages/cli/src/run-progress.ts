import { create } from "@bufbuild/protobuf";
import { followLogs, logLines, waitForRun } from "@kedge/client";
import { LogStream, type Run, RunState, StreamLogsResponseSchema, WatchRunResponseSchema } from "@kedge/proto";
import { safeLogText, safeText } from "./output/text.ts";
import { runLine } from "./output/views.ts";
import { ExitRequest } from "./print-error.ts";
import type { Session } from "./session.ts";

/** Which logs to print. */
export interface LogSelection {
  readonly runId: string;
  readonly job?: string;
  readonly follow: boolean;
}

/** Prints a run's logs: chunks with --json, else lines under the name of their job. */
export async function printLogs({ client, output, signal }: Session, selection: LogSelection): Promise<void> {
  const chunks = followLogs(client, { ...selection, signal });
  if (output.json) {
    for await (const chunk of chunks) output.item(StreamLogsResponseSchema, chunk, () => []);
    return;
  }
  for await (const line of logLines(chunks)) {
    const mark = line.stream === LogStream.SYSTEM ? "*" : "|";
    output.raw(`${safeText(`${line.job}/${line.step}`)} ${mark} ${safeLogText(line.text)}`);
  }
}

/** Waits for a run's end and says on the way what changes. */
export async function watchRun(
  { client, output, signal }: Session,
  runId: string,
  print: "items" | "progress",
): Promise<Run> {
  let last = "";
  return waitForRun(client, runId, {
    signal,
    onChange: (run) => {
      const line = runLine(run);
      if (print === "items") output.item(WatchRunResponseSchema, create(WatchRunResponseSchema, { run }), () => [line]);
      else if (line !== last) output.progress(line);
      last = line;
    },
  });
}

/** Ends the command with the run's exit code unless the run succeeded. */
export function requireSuccess(run: Run): void {
  if (run.state !== RunState.SUCCEEDED) throw new ExitRequest("runFailed");
}
