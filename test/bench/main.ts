// `npm run bench [-- name ...]`: measures, each figure beside its floor or goal, after asserting that the work was done.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Bench {
  readonly about: string;
  readonly script: string;
  readonly args?: readonly string[];
}

const BENCHES: Readonly<Record<string, Bench>> = {
  dispatch: { about: "submit to process started, and 2,000 jobs, durable", script: "test/bench/dispatch.ts" },
  "big-run": { about: "one run of 1,000 jobs beside 1,000 runs of one", script: "test/bench/big-run.ts" },
  scheduling: { about: "durable placements a second at 5,000 nodes", script: "test/bench/scheduling.ts" },
  messaging: { about: "what NATS allows", script: "packages/bus/bench/messaging.mjs" },
  rpc: { about: "a unary call beside bare grpc-js", script: "packages/rpc/bench/unary.mjs" },
  runtime: { about: "a container step and a process beside bare ones", script: "packages/runtime/bench/overhead.mjs" },
  gateway: { about: "throughput and split beside bare HAProxy", script: "packages/gateway/bench/throughput.mjs" },
  "model-server": { about: "inference over HTTP beside in-process", script: "packages/model-server/bench/latency.mjs" },
  judge: {
    about: "false rollbacks, requests to detection",
    script: "packages/analysis/bench/simulate.mjs",
    args: ["100"],
  },
  placement: {
    about: "pure placements a second at 1,000 to 10,000 nodes",
    script: "packages/scheduler/bench/placement.mjs",
  },
  knapsack: { about: "gap to the LP bound, beside baselines", script: "packages/scheduler/bench/knapsack.mjs" },
  admission: { about: "a pass over 10,000 waiting jobs", script: "packages/scheduler/bench/admission.mjs" },
  rebalance: { about: "room that moves gain, beside the simple way", script: "packages/scheduler/bench/rebalance.mjs" },
  anomalies: {
    about: "anomaly detector beside 3-sigma, EWMA and a static threshold",
    script: "packages/analysis/bench/anomalies.mjs",
    args: ["6", "11"],
  },
  "root-cause": {
    about: "root cause of simulated faults, stage by stage",
    script: "packages/analysis/bench/root-cause.mjs",
    args: ["300", "5"],
  },
  pipeline: { about: "compile beside bare YAML parsing", script: "packages/pipeline/bench/compile.mjs" },
  rollback: {
    about: "bad releases at 200 requests/s and 10 %: errors, latency, predictions",
    script: "test/bench/rollback.ts",
  },
  "fleet-rollback": {
    about: "one rollback at 1 to 1,000 simulated nodes, beside one bare put",
    script: "test/bench/fleet-rollback.ts",
  },
  flags: { about: "a feature flag from apply to a handler's answer", script: "test/bench/flags.ts" },
  artifacts: { about: "artifacts up and down, beside bare chunks", script: "test/bench/artifacts.ts" },
  logs: { about: "a 1 GB log from a step to who follows it, and single lines", script: "test/bench/logs.ts" },
  masking: { about: "secrets taken out of logs, beside a copy", script: "packages/domain/bench/masking.mjs" },
  "lost-agents": { about: "kills, freezes and cuts while jobs run", script: "test/bench/lost-agents.ts" },
  fuzz: { about: "hostile texts into everything that reads them", script: "test/fuzz/main.ts" },
  memory: { about: "an agent at rest", script: "test/bench/memory.ts" },
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in BENCHES));
if (unknown.length > 0 || wanted.includes("--help")) {
  for (const [name, { about }] of Object.entries(BENCHES)) console.log(`${name.padEnd(14)} ${about}`);
  process.exitCode = wanted.includes("--help") ? 0 : 2;
} else {
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    console.log(`\n## ${name}: ${bench.about}`);
    if ((await runBench(bench)) !== 0) process.exitCode = 1;
  }
}

function runBench({ script, args = [] }: Bench): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [`${root}${script}`, ...args], { cwd: root, stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}
