import { create } from "@bufbuild/protobuf";
import { waitForRun } from "@kedge/client";
import { type Run, RunState, WatchRunResponseSchema } from "@kedge/proto";
import { runLine } from "./output/views.ts";
import { ExitRequest } from "./print-error.ts";
import type { Session } from "./session.ts";

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
