// One run of 1,000 jobs from a matrix, on a few real agents, beside as many runs of one job: how long it takes to
// compile, what a job takes of the controller's time, and whether its memory comes back.
import { readFile } from "node:fs/promises";
import { collect, waitForRun } from "@kedge/client";
import { compilePipeline } from "@kedge/pipeline";
import { JobState, RunState } from "@kedge/proto";
import { type BenchCluster, quantile, residentMib, startBenchCluster } from "./bench-cluster.ts";

const SIDES = [40, 25] as const;
const JOBS = SIDES[0] * SIDES[1];
const AGENTS = Number(process.env["KEDGE_BENCH_AGENTS"] ?? 4);
const ROUNDS = Number(process.env["KEDGE_BENCH_ROUNDS"] ?? 2);
const COMPILES = 10;
const COMPILE_GOAL_MS = 200;
const IN_FLIGHT = 64;
const RUN_ENDS_MS = 600_000;
/** Kernel's unit of a process's times. */
const TICK_MS = 10;

/** What a round took. */
interface Round {
  readonly ms: number;
  readonly cpuMs: number;
  readonly beforeMib: number;
  readonly peakMib: number;
  readonly afterMib: number;
}

const source = `name: big
jobs:
  one:
    matrix: { i: [${numbers(SIDES[0])}], j: [${numbers(SIDES[1])}] }
    resources: { cpu: 50m, memory: 16Mi }
    steps: [{ run: "true" }]
`;
const single = source.replace(/ {4}matrix: .*\n/, "");
tellCompile();
await using cluster = await startBenchCluster(Array.from({ length: AGENTS }, (_, i) => ({ name: `worker-${i}` })));
await oneRunEach(cluster, 50); // Compiles the controller's code.
for (let round = 1; round <= ROUNDS; round += 1) {
  tell(`run ${round} of ${JOBS} jobs`, await measured(cluster, oneBigRun));
}
tell(`${JOBS} runs of one job`, await measured(cluster, (at) => oneRunEach(at, JOBS)));

function tellCompile(): void {
  const times = Array.from({ length: COMPILES }, () => {
    const began = performance.now();
    const { spec, diagnostics } = compilePipeline(source);
    const ms = performance.now() - began;
    if (spec?.jobs.length !== JOBS) throw new Error(`it has ${spec?.jobs.length} jobs: ${diagnostics[0]?.message}`);
    return ms;
  });
  console.log(
    `compiled to ${JOBS} jobs: first ${times[0]?.toFixed(0)} ms, median ${quantile(times, 0.5).toFixed(0)} ms; ` +
      `goal < ${COMPILE_GOAL_MS} ms`,
  );
}

async function oneBigRun({ client }: BenchCluster): Promise<void> {
  const began = performance.now();
  const { run } = await client.runs.submitRun({ pipeline: { case: "pipelineSource", value: source } });
  const submitMs = performance.now() - began;
  const ended = await waitForRun(client, run?.id ?? "", { signal: AbortSignal.timeout(RUN_ENDS_MS) });
  const done = ended.jobs.filter(({ state }) => state === JobState.SUCCEEDED).length;
  if (ended.state !== RunState.SUCCEEDED || done !== JOBS) throw new Error(`${done} jobs succeeded: ${ended.reason}`);
  const twice = ended.jobs.filter(({ tasks }) => tasks.length !== 1).length;
  console.log(`SubmitRun answered after ${submitMs.toFixed(0)} ms; ${twice} jobs took more than one attempt`);
}

async function oneRunEach({ client }: BenchCluster, count: number): Promise<void> {
  const labels = { round: `${performance.now()}` };
  const queue = Array.from({ length: count }).values();
  const submit = async (): Promise<void> => {
    for (const _ of queue) {
      await client.runs.submitRun({ pipeline: { case: "pipelineSource", value: single }, labels });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, submit));
  const isBusy = async (state: RunState): Promise<boolean> =>
    (await client.runs.listRuns({ state, pageSize: 1 })).runs.length > 0;
  while ((await isBusy(RunState.PENDING)) || (await isBusy(RunState.RUNNING))) await sleep(50);
  const runs = await collect(
    (pageToken) => client.runs.listRuns({ pageToken, pageSize: 500 }),
    (page) => page.runs,
  );
  const own = runs.filter((run) => run.labels["round"] === labels.round && run.state === RunState.SUCCEEDED);
  if (own.length !== count) throw new Error(`${own.length} of ${count} runs succeeded`);
}

async function measured(at: BenchCluster, work: (at: BenchCluster) => Promise<void>): Promise<Round> {
  const pid = at.controllerPid;
  const beforeMib = await residentMib(pid);
  let peakMib = beforeMib;
  const sampler = setInterval(async () => {
    peakMib = Math.max(peakMib, await residentMib(pid).catch(() => 0));
  }, 100);
  const cpuBefore = await cpuMs(pid);
  const began = performance.now();
  try {
    await work(at);
  } finally {
    clearInterval(sampler);
  }
  const ms = performance.now() - began;
  const cpu = (await cpuMs(pid)) - cpuBefore;
  await sleep(5_000); // What is no longer needed goes.
  return { ms, cpuMs: cpu, beforeMib, peakMib, afterMib: await residentMib(pid) };
}

function tell(what: string, { ms, cpuMs: cpu, beforeMib, peakMib, afterMib }: Round): void {
  const memory = `${beforeMib.toFixed(0)} MiB before, ${peakMib.toFixed(0)} at most, ${afterMib.toFixed(0)} after`;
  console.log(
    `${what}, ${AGENTS} agents: ${(ms / 1000).toFixed(1)} s, ${(ms / JOBS).toFixed(1)} ms a job; ` +
      `controller ${(cpu / JOBS).toFixed(1)} ms of CPU a job, ${memory}`,
  );
}

/** Time that a process spent computing. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name, in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function numbers(count: number): string {
  return Array.from({ length: count }, (_, i) => i).join(", ");
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
