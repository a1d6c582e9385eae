import type { Runtime } from "@kedge/runtime";

const MAX_LENGTH = 500;

/** The last line an ended workload wrote to its standard error, shortened; empty when it wrote none. Never throws. */
export async function lastLine(runtime: Runtime, id: string): Promise<string> {
  let tail = Buffer.alloc(0);
  try {
    for await (const { stream, data } of runtime.logs(id, { signal: AbortSignal.timeout(2000) })) {
      if (stream === "stderr") tail = Buffer.concat([tail, data]).subarray(-4096);
    }
  } catch {
    // What was read so far must do.
  }
  const lines = tail.toString("utf8").trimEnd().split("\n");
  return (lines.at(-1) ?? "").slice(0, MAX_LENGTH);
}
