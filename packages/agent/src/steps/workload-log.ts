import { LogStream } from "@kedge/proto";
import type { Runtime } from "@kedge/runtime";
import type { LogPublisher } from "../tasks/log-publisher.ts";

/** Whose output is copied, and into which log. */
export interface WorkloadLog {
  readonly runtime: Runtime;
  /** Id of the workload. */
  readonly id: string;
  /** Name under which it stands in the job's log. */
  readonly step: string;
  readonly log: LogPublisher;
  /** Ends the reading, wherever it is. */
  readonly signal: AbortSignal;
}

/** Copies a workload's output into the job's log, from where an earlier agent process left off, until it has ended. */
export async function copyWorkloadLog({ runtime, id, step, log, signal }: WorkloadLog): Promise<void> {
  const fromOffset = log.offsetOf(id);
  const options = fromOffset === undefined ? { signal } : { signal, fromOffset };
  try {
    for await (const { stream, data, offset } of runtime.logs(id, options)) {
      const kind = stream === "stdout" ? LogStream.STDOUT : LogStream.STDERR;
      await log.write({ step, stream: kind, data, workload: id, offset });
    }
  } finally {
    log.finish(step, { workload: id });
  }
}
