// A large log from a step's standard output to a client that follows it; its last lines and a search; the latency of
// single lines. Beside them, what the machine copies from file to file. Arguments: megabytes of log (default 1000).
import { randomBytes } from "node:crypto";
import { copyFile, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { followLogs } from "@kedge/client";
import { RunState, type StreamLogsResponse } from "@kedge/proto";
import { type BenchCluster, quantile, residentMib, startBenchCluster, until } from "./bench-cluster.ts";

const megabytes = Number(process.argv[2] ?? 1000);
const TEXT = logText(60_000);
const ROUNDS = Math.ceil((megabytes * 1e6) / TEXT.length);
const BYTES = TEXT.length * ROUNDS;
const TRICKLE = 200;

await using cluster = await startBenchCluster([{ name: "n1" }]);
await writeFile(join(cluster.dir, "text"), TEXT);
await floor(cluster);
const runId = await large(cluster);
await lastLines(cluster, runId);
await search(cluster, runId);
await latency(cluster);

/** Lines as training jobs write them: a third of each is different in every line. */
function logText(lines: number): Buffer {
  const line = (n: number): string => {
    const [time, id] = [new Date(1.7e12 + n * 137).toISOString(), randomBytes(8).toString("hex")];
    const loss = (1 / (1 + (n % 977))).toFixed(6);
    return `${time} INFO  trainer: step=${n} loss=${loss} lr=${(3e-4 / (1 + n)).toExponential(3)} batch=${id} ok\n`;
  };
  return Buffer.from(Array.from({ length: lines }, (_, n) => line(n)).join(""));
}

async function submit({ client }: BenchCluster, script: string): Promise<string> {
  const pipelineSource = JSON.stringify({ name: "logs", jobs: { log: { steps: [{ name: "write", run: script }] } } });
  const { run } = await client.runs.submitRun({ pipeline: { case: "pipelineSource", value: pipelineSource } });
  return run?.id ?? "";
}

async function floor({ dir }: BenchCluster): Promise<void> {
  const bytes = 200e6;
  const [from, to] = [join(dir, "from"), join(dir, "to")];
  await writeFile(from, Buffer.alloc(bytes, TEXT));
  const start = performance.now();
  await copyFile(from, to);
  const seconds = (performance.now() - start) / 1000;
  if ((await stat(to)).size !== bytes) throw new Error("the copy is not whole");
  console.log(`floor: a file is copied at ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`);
}

/** Follows the log while it is written, with the memory of all that it goes through. */
async function large({ client, agentPids, controllerPid, ...rest }: BenchCluster): Promise<string> {
  const pids = { agent: agentPids[0] ?? 0, controller: controllerPid, client: process.pid };
  const nats = await childNamed(controllerPid, "nats-server");
  const before = await memory(pids);
  const cpuBefore = await cpuSeconds({ ...pids, nats });
  const most = { ...before };
  const watching = setInterval(async () => {
    const now = await memory(pids).catch(() => before);
    for (const name of ["agent", "controller", "client"] as const) most[name] = Math.max(most[name], now[name]);
  }, 200);
  const start = performance.now();
  const id = await submit(
    { client, agentPids, controllerPid, ...rest },
    `i=0; while [ $i -lt ${ROUNDS} ]; do cat '${join(rest.dir, "text")}'; i=$((i+1)); done`,
  );
  const { bytes, chunks } = await count(followLogs(client, { runId: id }));
  const seconds = (performance.now() - start) / 1000;
  clearInterval(watching);
  if (bytes !== BYTES) throw new Error(`${bytes} bytes came of ${BYTES}`);
  const { run } = await client.runs.getRun({ runId: id });
  if (run?.state !== RunState.SUCCEEDED) throw new Error(`the run is ${run?.state}`);
  const rate = bytes / 1e6 / seconds;
  console.log(
    `${(bytes / 1e6).toFixed(0)} MB followed from submit to end: ${rate.toFixed(0)} MB/s (${chunks} chunks); goal >= 50`,
  );
  for (const name of ["agent", "controller", "client"] as const) {
    console.log(`  ${name}: ${before[name].toFixed(0)} MiB before, ${most[name].toFixed(0)} MiB at most`);
  }
  const cpu = Object.entries(await cpuSeconds({ ...pids, nats })).map(([name, after]) => {
    return `${name} ${((after - (cpuBefore[name] ?? 0)) / (bytes / 1e9)).toFixed(1)}`;
  });
  console.log(`  seconds of a core for a GB: ${cpu.join(", ")}`);
  const again = performance.now();
  const history = await count(followLogs(client, { runId: id, follow: false }));
  if (history.bytes !== bytes) throw new Error(`${history.bytes} bytes of history`);
  console.log(`read once more from the store: ${(bytes / 1e3 / (performance.now() - again)).toFixed(0)} MB/s`);
  return id;
}

async function lastLines({ client }: BenchCluster, id: string): Promise<void> {
  const start = performance.now();
  const { bytes } = await count(followLogs(client, { runId: id, follow: false, tail: 10 }));
  const wanted = TEXT.toString().trimEnd().split("\n").slice(-10).join("\n").length + 1;
  if (bytes !== wanted) throw new Error(`${bytes} bytes are 10 lines`);
  console.log(`its last 10 lines: ${(performance.now() - start).toFixed(0)} ms`);
}

async function search({ client }: BenchCluster, id: string): Promise<void> {
  const start = performance.now();
  let lines = 0n;
  for await (const { summary } of followLogs(client, { runId: id, follow: false, search: "not there" })) {
    lines = summary?.lines ?? lines;
  }
  if (lines !== BigInt(60_000 * ROUNDS)) throw new Error(`${lines} lines were searched`);
  const seconds = (performance.now() - start) / 1000;
  console.log(`searched for a text that is not in it: ${(BYTES / 1e6 / seconds).toFixed(0)} MB/s`);
}

/** From a line's writing to its arrival, with pauses between the lines. */
async function latency(at: BenchCluster): Promise<void> {
  const program = `let n = 0; const t = setInterval(() => { console.log(Date.now()); if (++n === ${TRICKLE}) clearInterval(t); }, 37)`;
  const id = await submit(at, `'${process.execPath}' -e '${program}'`);
  await until(
    async () => ((await at.client.runs.getRun({ runId: id })).run?.state === RunState.RUNNING ? true : undefined),
    "it runs",
  );
  const delays: number[] = [];
  for await (const { chunk } of followLogs(at.client, { runId: id })) {
    const now = Date.now();
    const text = Buffer.from(chunk?.data ?? []).toString();
    for (const line of text.split("\n")) if (line !== "") delays.push(now - Number(line));
  }
  if (delays.length !== TRICKLE) throw new Error(`${delays.length} lines came`);
  const [median, p99] = [quantile(delays, 0.5), quantile(delays, 0.99)];
  console.log(
    `a single line, written to received: median ${median.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms; goal p99 <= 100 ms`,
  );
}

async function count(messages: AsyncIterable<StreamLogsResponse>): Promise<{ bytes: number; chunks: number }> {
  let bytes = 0;
  let chunks = 0;
  for await (const { chunk } of messages) {
    bytes += chunk?.data.length ?? 0;
    chunks += 1;
  }
  return { bytes, chunks };
}

async function cpuSeconds(pids: Readonly<Record<string, number>>): Promise<Record<string, number>> {
  const seconds = Object.entries(pids).map(async ([name, pid]) => {
    // Behind the name in brackets, which may hold spaces: utime and stime are fields 14 and 15, in hundredths.
    const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
    return [name, (Number(fields[11]) + Number(fields[12])) / 100] as const;
  });
  return Object.fromEntries(await Promise.all(seconds));
}

async function childNamed(parent: number, name: string): Promise<number> {
  for (const entry of (await readdir("/proc")).filter((each) => /^\d+$/.test(each))) {
    const text = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    if (text.includes(`(${name})`) && text.split(") ")[1]?.split(" ")[1] === String(parent)) return Number(entry);
  }
  throw new Error(`process ${parent} has no child ${name}`);
}

async function memory(pids: { agent: number; controller: number; client: number }) {
  const [agent, controller, client] = await Promise.all([pids.agent, pids.controller, pids.client].map(residentMib));
  return { agent: agent ?? 0, controller: controller ?? 0, client: client ?? 0 };
}
