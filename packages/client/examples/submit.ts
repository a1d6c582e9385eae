// Submits a pipeline file, prints what its steps print while it runs, and ends as it ended.
// node submit.ts <kedge.yaml> [name=value ...]        KEDGE_IDEMPOTENCY_KEY: the same key is the same run for 24 hours
import { readFile } from "node:fs/promises";
import { createKedgeClient, followLogs, loadContext, logLines, submitAndWait } from "@kedge/client";
import { RunState } from "@kedge/proto";

const [file = "kedge.yaml", ...given] = process.argv.slice(2);
const parameters = Object.fromEntries(given.map((pair) => pair.split(/=(.*)/s, 2)));
const client = createKedgeClient(await loadContext());
try {
  let printed: Promise<void> | undefined;
  const request = {
    pipeline: { case: "pipelineSource" as const, value: await readFile(file, "utf8") },
    parameters,
    idempotencyKey: process.env["KEDGE_IDEMPOTENCY_KEY"] ?? "",
  };
  const run = await submitAndWait(client, request, {
    signal: AbortSignal.timeout(3_600_000),
    onChange: ({ id }) => {
      printed ??= printLogs(id);
    },
  });
  await printed;
  console.log(`${run.id} ${RunState[run.state]} ${run.reason}`.trimEnd());
  if (run.state !== RunState.SUCCEEDED) process.exitCode = 1;
} finally {
  client.close();
}

async function printLogs(runId: string): Promise<void> {
  for await (const { job, step, text } of logLines(followLogs(client, { runId }))) {
    console.log(`${job}/${step} | ${text}`);
  }
}
