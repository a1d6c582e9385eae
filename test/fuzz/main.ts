// Feeds everything that reads what anybody may have written with hostile texts: `npm run bench -- fuzz`.
// KEDGE_FUZZ_SECONDS: how long in all (default 60); KEDGE_FUZZ_SEED: which texts (default 1).
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { growing } from "./growth.ts";
import { inputOf } from "./inputs.ts";
import type { FuzzFinding, FuzzOrder, FuzzReport } from "./report.ts";
import { TARGETS } from "./targets.ts";

const SECONDS = Number(process.env["KEDGE_FUZZ_SECONDS"] ?? 60);
const SEED = Number(process.env["KEDGE_FUZZ_SEED"] ?? 1);
const HANG_MS = 30_000;
const LOOK_MS = 500;
const LIKE_BYTES = 32 * 1024;

const progress = new Int32Array(new SharedArrayBuffer(8));
const order: FuzzOrder = { secondsEach: SECONDS / TARGETS.length / 2, seed: SEED, progress };
const worker = new Worker(new URL("./fuzz-worker.ts", import.meta.url), { workerData: order });
const findings: FuzzFinding[] = [];
console.log(`seed ${SEED}, about ${SECONDS} s`);
worker.on("message", (report: FuzzReport) => {
  tell(report);
  findings.push(...report.findings);
});
const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
// Out of memory, for one.
worker.on("error", (error) => findings.push({ what: `it ended by ${error.stack ?? error.message}`, text: current() }));
const watch = watchForHangs();
await ended;
clearInterval(watch);
await save(findings);

function watchForHangs(): NodeJS.Timeout {
  let seen = "";
  let since = performance.now();
  return setInterval(() => {
    const now = progress.join();
    if (now !== seen) since = performance.now();
    seen = now;
    if (performance.now() - since < HANG_MS) return;
    findings.push({ what: `${TARGETS[progress[0] ?? 0]?.name}: no end after ${HANG_MS / 1000} s`, text: current() });
    worker.terminate().catch(() => {}); // It has ended by itself meanwhile.
  }, LOOK_MS);
}

/** What the worker reads at the moment, or the like of it. */
function current(): string {
  const target = TARGETS[progress[0] ?? 0];
  const number = progress[1] ?? 0;
  if (target === undefined) return "";
  return number < 0
    ? growing(target, -1 - number).textOf(LIKE_BYTES)
    : inputOf(target.seeds, SEED * 10_000_000 + number);
}

function tell(report: FuzzReport): void {
  const { target, executions, bytes, worstNsPerByte, grown, ways, worstGrowth, findings: found } = report;
  const { shape, bytes: size, ms } = worstGrowth;
  console.log(
    `${target.padEnd(15)} ${executions} texts by chance, ${(bytes / 1e6).toFixed(1)} MB, worst ` +
      `${worstNsPerByte.toFixed(0)} ns a byte; ${grown} of ${ways} growing ones, worst ` +
      `${((ms * 1e6) / Math.max(1, size)).toFixed(0)} ns (${shape}, ${(size / 1024).toFixed(0)} KiB); ${found.length} findings`,
  );
}

async function save(all: readonly FuzzFinding[]): Promise<void> {
  if (all.length === 0) return;
  process.exitCode = 1;
  const folder = await mkdtemp(join(tmpdir(), "kedge-fuzz-"));
  for (const [i, { what, text }] of all.entries()) {
    const file = join(folder, `${i}.txt`);
    await writeFile(file, text);
    console.log(`\n${what.slice(0, 2000)}\n  the text: ${file}`);
  }
}
