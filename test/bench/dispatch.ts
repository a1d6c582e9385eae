// From SubmitRun to the first act of the process on the agent, and the rate of 2,000 jobs from submit to done.
import { execFileSync } from "node:child_process";
import { constants, createReadStream, openSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { collect } from "@kedge/client";
import { RunState } from "@kedge/proto";
import { quantile, startBenchCluster } from "./bench-cluster.ts";

const LATENCY_JOBS = 300;
const RATE_JOBS = Number(process.env["KEDGE_BENCH_JOBS"] ?? 2000);
const IN_FLIGHT = 64;

await using cluster = await startBenchCluster([{ name: "worker" }]);
const { client } = cluster;
const fifo = join(cluster.dir, "started");
execFileSync("mkfifo", [fifo]);
const arrivals = new Map<string, (at: number) => void>();
const reader = createReadStream("", { fd: openSync(fifo, constants.O_RDWR) });
createInterface({ input: reader }).on("line", (line) => arrivals.get(line)?.(performance.now()));

const latencies: number[] = [];
const submits: number[] = [];
for (let i = 0; i < LATENCY_JOBS; i++) {
  const began = performance.now();
  const started = arrival(`l${i}`);
  await submit(`l${i}`);
  submits.push(performance.now() - began);
  latencies.push((await started) - began);
}
const measured = latencies.slice(50);
console.log(
  `submit to process started: p50 ${quantile(measured, 0.5).toFixed(2)} ms, p90 ${quantile(measured, 0.9).toFixed(2)} ms ` +
    `(SubmitRun itself p50 ${quantile(submits.slice(50), 0.5).toFixed(2)} ms), ${measured.length} jobs one after another; goal p50 <= 6 ms`,
);

const began = performance.now();
const names = Array.from({ length: RATE_JOBS }, (_, i) => `r${i}`);
const allStarted = Promise.all(names.map(arrival));
const queue = names.values();
await Promise.all(
  Array.from({ length: IN_FLIGHT }, async () => {
    for (const name of queue) await submit(name);
  }),
);
const submitted = performance.now();
await allStarted;
const started = performance.now();
// Asking for unfinished runs is cheap; asking for all of them at the end proves that each succeeded.
while ((await unfinished(RunState.PENDING)) || (await unfinished(RunState.RUNNING))) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
const ended = performance.now();
const runs = await collect(
  (pageToken) => client.runs.listRuns({ pageToken, pageSize: 1000 }),
  (page) => page.runs,
);
const bad = runs.find((run) => run.state !== RunState.SUCCEEDED);
if (runs.length !== RATE_JOBS + LATENCY_JOBS || bad)
  throw new Error(`not every run succeeded: ${bad?.id} ${bad?.reason}`);
// A read of the pipe is always under way; a last line lets it end, and the process with it.
reader.destroy();
execFileSync("sh", ["-c", 'echo > "$1"', "sh", fifo]);
const rate = (until: number): string => ((RATE_JOBS / (until - began)) * 1000).toFixed(0);
console.log(
  `${RATE_JOBS} jobs, ${IN_FLIGHT} submits in flight: submitted ${rate(submitted)}/s, started ${rate(started)}/s, ` +
    `done ${rate(ended)}/s; goal >= 300/s`,
);

function arrival(name: string): Promise<number> {
  return new Promise((resolve) => {
    arrivals.set(name, (at) => {
      arrivals.delete(name);
      resolve(at);
    });
  });
}

async function unfinished(state: RunState): Promise<boolean> {
  return (await client.runs.listRuns({ state, pageSize: 1 })).runs.length > 0;
}

async function submit(name: string): Promise<void> {
  const pipelineSource = `name: bench\njobs:\n  one:\n    steps:\n      - run: echo ${name} > ${fifo}\n`;
  await client.runs.submitRun({ pipeline: { case: "pipelineSource", value: pipelineSource } });
}
