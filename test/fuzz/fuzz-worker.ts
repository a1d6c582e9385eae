// Feeds one target after the other, first by chance, then with what grows. Whoever started it sees in `progress` where it
// is, also when it hangs: which target, which input.
import { parentPort, workerData } from "node:worker_threads";
import { growthCount, measureGrowth } from "./growth.ts";
import { inputOf } from "./inputs.ts";
import type { FuzzFinding, FuzzOrder, FuzzReport } from "./report.ts";
import { type FuzzTarget, TARGETS } from "./targets.ts";

/** What one call costs before it has read a byte is not counted against short texts. */
const BASE_BYTES = 1024;
const MAX_FINDINGS = 5;
/** Short runs of other seeds look at other ways to grow. */
const GROWTH_STRIDE = 37;

const { secondsEach, seed, progress }: FuzzOrder = workerData;
for (const [index, target] of TARGETS.entries()) parentPort?.postMessage(fuzz(target, index));

function fuzz(target: FuzzTarget, index: number): FuzzReport {
  Atomics.store(progress, 0, index);
  const findings: FuzzFinding[] = [];
  for (const text of target.seeds) attempt(target, text, findings);
  const { executions, bytes, worstNsPerByte } = byChance(target, findings);
  const until = performance.now() + secondsEach * 1000;
  const growth = measureGrowth(target, seed * GROWTH_STRIDE, (number) => {
    Atomics.store(progress, 1, -1 - number);
    return findings.length < MAX_FINDINGS && performance.now() < until;
  });
  findings.push(...growth.findings);
  const worst = { worstNsPerByte, worstGrowth: growth.worst, grown: growth.tried, ways: growthCount(target) };
  return { target: target.name, executions, bytes, ...worst, findings };
}

function byChance(target: FuzzTarget, findings: FuzzFinding[]) {
  const until = performance.now() + secondsEach * 1000;
  let executions = 0;
  let bytes = 0;
  let worstNsPerByte = 0;
  while (performance.now() < until && findings.length < MAX_FINDINGS) {
    const number = seed * 10_000_000 + executions;
    Atomics.store(progress, 1, executions);
    const text = inputOf(target.seeds, number);
    const began = performance.now();
    attempt(target, text, findings);
    const ns = (performance.now() - began) * 1e6;
    // The first calls compile the code.
    if (executions > 200) worstNsPerByte = Math.max(worstNsPerByte, ns / (text.length + BASE_BYTES));
    executions += 1;
    bytes += text.length;
  }
  return { executions, bytes, worstNsPerByte };
}

function attempt({ read }: FuzzTarget, text: string, findings: FuzzFinding[]): void {
  try {
    read(text);
  } catch (error) {
    findings.push({ what: error instanceof Error ? (error.stack ?? error.message) : String(error), text });
  }
}
