// Upload and download of an artifact, from a job's files to the next job's and to a person's, beside bare chunks on a bus.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { CHUNK_BYTES, getChunk, putChunk, startTestBus } from "@kedge/bus";
import { followLogs, logLines, pullArtifact, waitForRun } from "@kedge/client";
import { RunState } from "@kedge/proto";
import { startBenchCluster } from "./bench-cluster.ts";

const mib = Number(process.argv[2] ?? 64);
const AT_ONCE = 16;

const PIPELINE = `
name: bench
jobs:
  build:
    steps: [{ run: head -c ${mib * 1024 * 1024} /dev/urandom > big }]
    artifacts: [{ name: big, paths: [big], required: true }]
  again:
    needs: [build]
    inputs: [build]
    steps: [{ run: test -e big }]
    artifacts: [{ name: same, paths: [big], required: true }]
`;

const raw = await rawRates();
const { upload, again, input, pull } = await jobRates();
const row = (what: string, rate: number, floor: number): void =>
  console.log(`${what.padEnd(44)} ${rate.toFixed(1).padStart(7)} MiB/s   ${(rate / floor).toFixed(2)} of the bare bus`);
console.log(`${mib} MiB of random bytes; bare chunks: put ${raw.put.toFixed(1)}, get ${raw.get.toFixed(1)} MiB/s`);
row("artifact: hash, ask, send, store", upload, raw.put);
row("the same content again: hash, ask", again, raw.put);
row("input of the next job: fetch, check, write", input, raw.get);
row("kedge artifact get: fetch, check, write", pull, raw.get);

/** What a bus of this machine does with the same chunks, so many at once. */
async function rawRates(): Promise<{ readonly put: number; readonly get: number }> {
  // With every write on the disk, as the controller's server has it.
  const testBus = await startTestBus({ syncAlways: true });
  const { bus } = testBus;
  const chunks = Array.from({ length: (mib * 1024 * 1024) / CHUNK_BYTES }, () => randomBytes(CHUNK_BYTES));
  const digests: string[] = [];
  const put = await rateOf(() =>
    side(chunks, async (bytes) => {
      digests.push((await putChunk(bus, bytes)).sha256);
    }),
  );
  const get = await rateOf(() => side(digests, (sha256) => getChunk(bus, sha256)));
  await testBus.stop();
  return { put, get };
}

async function jobRates() {
  await using cluster = await startBenchCluster([{ name: "n1" }]);
  const { client } = cluster;
  const { run } = await client.runs.submitRun({ pipeline: { case: "pipelineSource", value: PIPELINE } });
  const runId = run?.id ?? "";
  const ended = await waitForRun(client, runId);
  if (ended.state !== RunState.SUCCEEDED) throw new Error(`the run came to ${RunState[ended.state]}: ${ended.reason}`);
  const at = new Map<string, number>();
  for await (const { job, text, atMs } of logLines(followLogs(client, { runId, follow: false }))) {
    const what = /storing|stored|build\/big/.exec(text)?.[0];
    if (what !== undefined) at.set(`${job} ${what}`, atMs);
  }
  const between = (from: number | undefined, to: string): number =>
    (mib * 1000) / ((at.get(to) ?? Number.NaN) - (from ?? Number.NaN));
  const started = ended.jobs[1]?.tasks[0]?.startedAt;
  const target = { runId, job: "build", name: "big", folder: join(cluster.dir, "pulled") };
  return {
    upload: between(at.get("build storing"), "build stored"),
    again: between(at.get("again storing"), "again stored"),
    input: between(started === undefined ? undefined : timestampMs(started), "again build/big"),
    pull: await rateOf(() => pullArtifact(client, target)),
  };
}

/** Runs work on all items, so many at once. */
async function side<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function rateOf(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (mib * 1000) / (performance.now() - begin);
}
