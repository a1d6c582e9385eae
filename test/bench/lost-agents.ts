// Agents that are killed, frozen and cut off while their jobs run, at random but by a seed: no two attempts of a job may ever
// be at work at once, every run must end, and a lost agent must be noticed in time. Real controller, agents, processes.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Run, RunState, TaskState } from "@kedge/proto";
import { Cluster } from "../setup/cluster.ts";
import { Link } from "../setup/link.ts";
import { quantile } from "./bench-cluster.ts";

const TRIALS = Number(process.env["KEDGE_BENCH_TRIALS"] ?? 60);
const AGENTS = Number(process.env["KEDGE_BENCH_AGENTS"] ?? 12);
const SEED = Number(process.env["KEDGE_BENCH_SEED"] ?? 1);
const NOTICED_GOAL_MS = 45_000;
const RUN_ENDS_MS = 300_000;
/** A job lives so long, and says that it does every tenth of a second. */
const BEATS = 60;
const FAULTS = ["kill, back at once", "kill, back later", "kill, never back", "freeze", "cut"] as const;

type Fault = (typeof FAULTS)[number];

interface Trial {
  readonly fault: Fault;
  readonly attempts: number;
  /** From the fault to the next attempt's offer; undefined when there was none. */
  readonly noticedMs: number | undefined;
  readonly overlapMs: number;
  readonly state: RunState;
}

const random = seeded(SEED);
const names = Array.from({ length: AGENTS }, (_, i) => `node-${i}`);
await using cluster = await Cluster.start([]);
// A few at a time: they start slowly together.
for (let i = 0; i < names.length; i += 4)
  await Promise.all(names.slice(i, i + 4).map((name) => cluster.join({ name })));
const effects = join(cluster.folder, "effects");
await mkdir(effects);
const links = new Map<string, Link>();
for (const name of names) links.set(name, await reachByLink(name));
// Nodes that come and go are what is wanted here.
await cluster.client.scheduling.setSchedulingPolicy({ policy: { quarantine: { manualOnly: true } } });
const busy = new Set<string>();
const trials: Trial[] = [];
let begun = 0;
console.log(`${TRIALS} trials on ${AGENTS} agents, seed ${SEED}: ${FAULTS.join("; ")}`);
await Promise.all(
  Array.from({ length: Math.max(1, Math.floor(AGENTS / 2)) }, async () => {
    while (begun < TRIALS) trials.push(await trial(++begun));
  }),
);
for (const link of links.values()) await link[Symbol.asyncDispose]();
tell(trials);

async function trial(number: number): Promise<Trial> {
  const fault = FAULTS[number % FAULTS.length] ?? "cut";
  const waitMs = random() * 4000;
  const awayMs = 1000 + random() * 59_000;
  const { run } = await cluster.client.runs.submitRun({ pipeline: { case: "pipelineSource", value: source() } });
  const runId = run?.id ?? "";
  const running = await until(
    runId,
    (it) => it.jobs[0]?.tasks.at(-1)?.state === TaskState.RUNNING || hasEnded(it),
    RUN_ENDS_MS,
  );
  await sleep(waitMs);
  const node = names.find((name) => cluster.node(name).id === running.jobs[0]?.tasks.at(-1)?.nodeId);
  let faultAt = Date.now();
  let isStruck = false;
  if (node !== undefined && !busy.has(node)) {
    busy.add(node);
    isStruck = true;
    faultAt = Date.now();
    const over = strike(node, fault, awayMs).finally(() => busy.delete(node));
    if (fault !== "kill, never back") await over;
    else over.catch(() => {});
  }
  const end = await until(
    runId,
    ({ state }) => state >= RunState.SUCCEEDED && state <= RunState.CANCELLED,
    RUN_ENDS_MS,
  );
  const tasks = end.jobs[0]?.tasks ?? [];
  const next = tasks.find(({ offeredAt }) => offeredAt !== undefined && timestampMs(offeredAt) > faultAt);
  const noticedMs = !isStruck || next?.offeredAt === undefined ? undefined : timestampMs(next.offeredAt) - faultAt;
  return { fault, attempts: tasks.length, noticedMs, overlapMs: await overlap(runId), state: end.state };
}

function hasEnded({ state }: Run): boolean {
  return state >= RunState.SUCCEEDED && state <= RunState.CANCELLED;
}

async function strike(name: string, fault: Fault, awayMs: number): Promise<void> {
  const { agent } = cluster.node(name);
  const link = links.get(name);
  if (fault === "freeze") {
    await agent.kill("SIGSTOP");
    await sleep(awayMs);
    await agent.kill("SIGCONT");
  } else if (fault === "cut") {
    link?.cut();
    await sleep(awayMs);
    link?.mend();
  } else {
    await agent.kill("SIGKILL");
    // "Never" is as good as long after the job was given away.
    await sleep(fault === "kill, back at once" ? 100 : fault === "kill, back later" ? awayMs : 90_000);
    agent.restart();
  }
  await cluster.readyNode(name);
}

/** Every attempt leaves a file of its own, with the times at which it was alive. */
function source(): string {
  return `name: lost-agents
jobs:
  work:
    # More than half of a node: no two trials strike the same one.
    resources: { cpu: 1100m }
    retry: { attempts: 10, on-lost: retry }
    steps:
      - env: { RUN: "\${{ run.id }}", DIR: ${JSON.stringify(effects)} }
        run: |
          file="$DIR/$RUN.$(date +%s%N).$$"
          i=0
          while [ $i -lt ${BEATS} ]; do date +%s%N >> "$file"; i=$((i + 1)); sleep 0.1; done
          echo done >> "$file"
`;
}

/** How long two attempts of a run were alive at once, in milliseconds; 0: never. */
async function overlap(runId: string): Promise<number> {
  const files = (await readdir(effects)).filter((file) => file.startsWith(runId));
  const spans = await Promise.all(
    files.map(async (file) => {
      const lines = (await readFile(join(effects, file), "utf8")).split("\n").filter((line) => /^\d+$/.test(line));
      return {
        from: Number(BigInt(lines[0] ?? 0) / 1000n) / 1000,
        to: Number(BigInt(lines.at(-1) ?? 0) / 1000n) / 1000,
      };
    }),
  );
  const sorted = spans.toSorted((a, b) => a.from - b.from);
  return Math.max(
    0,
    ...sorted.slice(1).map(({ from }, i) => Math.max(...sorted.slice(0, i + 1).map(({ to }) => to)) - from),
  );
}

function tell(all: readonly Trial[]): void {
  for (const fault of FAULTS) {
    const own = all.filter((it) => it.fault === fault);
    const noticed = own.flatMap(({ noticedMs }) => noticedMs ?? []);
    const worst = noticed.length === 0 ? "never" : `${(Math.max(...noticed) / 1000).toFixed(1)} s`;
    const middle = noticed.length === 0 ? "" : `, median ${(quantile(noticed, 0.5) / 1000).toFixed(1)} s`;
    console.log(
      `${fault}: ${own.length} trials, ${own.filter(({ attempts }) => attempts > 1).length} with another attempt; ` +
        `from the fault to its offer worst ${worst}${middle}`,
    );
  }
  const doubled = all.filter(({ overlapMs }) => overlapMs > 0);
  const failed = all.filter(({ state }) => state !== RunState.SUCCEEDED);
  console.log(
    `${all.length} trials: ${doubled.length} with two attempts at once, ${failed.length} that did not succeed`,
  );
  const late = all.filter(({ fault, noticedMs }) => fault === "kill, never back" && (noticedMs ?? 0) > NOTICED_GOAL_MS);
  if (late.length > 0) console.log(`${late.length} lost agents were noticed later than ${NOTICED_GOAL_MS / 1000} s`);
  if (doubled.length > 0 || failed.length > 0) process.exitCode = 1;
}

async function until(runId: string, isDone: (run: Run) => boolean, withinMs: number): Promise<Run> {
  let seen: Run | undefined;
  for (const end = Date.now() + withinMs; Date.now() < end; ) {
    seen = (await cluster.client.runs.getRun({ runId })).run;
    if (seen !== undefined && isDone(seen)) return seen;
    await sleep(250);
  }
  const [job] = seen?.jobs ?? [];
  const tasks = job?.tasks.map((task) => `${task.id} on ${task.nodeId} ${TaskState[task.state]}`).join(", ");
  throw new Error(`run ${runId} did not get there within ${withinMs / 1000} s: ${job?.reason}; ${tasks}`);
}

/** Has a node speak to NATS through a link that can be cut. */
async function reachByLink(name: string): Promise<Link> {
  const { agent, dataDir } = cluster.node(name);
  const path = join(dataDir, "identity.json");
  const identity = JSON.parse(await readFile(path, "utf8")) as { readonly natsServers: readonly string[] };
  const link = await Link.to((identity.natsServers[0] ?? "").replace(/^\w+:\/\//, ""));
  await agent.kill("SIGTERM");
  await writeFile(path, JSON.stringify({ ...identity, natsServers: [link.address] }));
  agent.restart();
  await cluster.readyNode(name);
  return link;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Mulberry32, by Tommy Ettinger. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
