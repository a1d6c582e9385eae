import { LogStream } from "@kedge/proto";
import type { LogOffset, Runtime } from "@kedge/runtime";
import type { LogPosition, LogPublisher } from "../tasks/log-publisher.ts";

/** Whose output is copied, and into which log. */
export interface WorkloadLog {
  readonly runtime: Runtime;
  /** Id of the workload. */
  readonly id: string;
  /** Name under which it stands in the job's log. */
  readonly step: string;
  readonly log: LogPublisher;
  /** Where an earlier agent process left off. */
  readonly logPosition: LogPosition;
  /** Ends the reading, wherever it is. */
  readonly signal: AbortSignal;
}

/** Copies a workload's output into the job's log until the workload has ended. */
export async function copyWorkloadLog({ runtime, id, step, log, logPosition, signal }: WorkloadLog): Promise<void> {
  const fromOffset = parseCursor(logPosition.cursors[id]);
  const options = fromOffset === undefined ? { signal } : { signal, fromOffset };
  for await (const { stream, data, offset } of runtime.logs(id, options)) {
    const cursor = `${offset.stdout}:${offset.stderr}`;
    const kind = stream === "stdout" ? LogStream.STDOUT : LogStream.STDERR;
    await log.write({ step, stream: kind, data, workload: id, cursor });
  }
}

function parseCursor(cursor = ""): LogOffset | undefined {
  const match = /^(\d+):(\d+)$/.exec(cursor);
  return match === null ? undefined : { stdout: Number(match[1]), stderr: Number(match[2]) };
}
