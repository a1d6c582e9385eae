// A bad release under 200 requests/s with 10 % of them: how soon it is found, and how soon nobody is sent to it any more.
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { informationLimit } from "@kedge/analysis";
import { pushModelFolder } from "@kedge/client";
import { parseDeployment } from "@kedge/pipeline";
import { type Deployment, type Rollout, RolloutState, VerdictKind } from "@kedge/proto";
import { CALLERS, INTERVAL_MS, LOUDNESS } from "../../deploy/demo/callers.ts";
import { Load } from "../../deploy/demo/load.ts";
import type { Answer } from "../../deploy/demo/load-report.ts";
import { quantile, startBenchCluster, until } from "./bench-cluster.ts";

const TRIALS = Number(process.env["KEDGE_BENCH_TRIALS"] ?? 5);
const NAME = "voice";
const ALPHA = 0.01;
const WEIGHT = 0.1;
const TICK_MS = 250;
/** Reports of the callers come ten times a second. */
const LAST_REPORTS_MS = 1500;
/** The bad handler fails for frames louder than this; silent ones, every second, are fine. */
const FAILS_ABOVE = 0.51;
const BAD_RATE = LOUDNESS.filter((loudness) => loudness > FAILS_ABOVE).length / LOUDNESS.length / 2;
const LEAST_RATE = 1e-3;
const root = join(import.meta.dirname, "../..");

interface Trial {
  readonly decisionToLastSentMs: number;
  readonly requests: number;
  readonly seconds: number;
  readonly secondsFromFailure: number;
  readonly limit: number;
  readonly ratio: number;
  readonly failed: number;
}

const edge = { role: "edge" };
await using cluster = await startBenchCluster([
  { name: "edge-1", labels: edge },
  { name: "edge-2", labels: edge },
]);
const { client } = cluster;
const answers: Answer[] = [];
const good = await push("good");
await apply(good);
const { stableRevision } = await settled(0, RolloutState.SUCCEEDED);
const { nodes } = await client.nodes.listNodes({});
const load = new Load(
  NAME,
  nodes.map((node) => node.gatewayAddress),
  (answer) => answers.push(answer),
);
try {
  await load.firstAnswer;
  const trials: Trial[] = [];
  for (let number = 1; number <= TRIALS; number++) {
    trials.push(await trial(number));
    tell(`trial ${number}`, trials.slice(-1));
  }
  tell("median", trials);
  const worst = Math.max(...trials.map((it) => it.decisionToLastSentMs));
  console.log(`worst from decision to last request sent: ${worst} ms; goal < 100 ms`);
} finally {
  await load.stop();
}

async function trial(number: number): Promise<Trial> {
  const version = await push(`bad-${number}`, number);
  answers.length = 0;
  const before = stableRevision + number - 1;
  await apply(version);
  const deployment = await settled(before, RolloutState.ROLLED_BACK);
  await new Promise((resolve) => setTimeout(resolve, LAST_REPORTS_MS));
  assertRolledBack(deployment, version);
  return measure(deployment, version);
}

function assertRolledBack({ rollout, route, stableRevision: stable }: Deployment, version: string): void {
  const share = route?.splits.find((split) => split.revision === stableRevision)?.basisPoints;
  const isDecided = rollout?.verdict?.kind === VerdictKind.ROLLBACK;
  if (!isDecided) throw new Error(`version ${version} was not rolled back by the judge: ${rollout?.verdict?.reason}`);
  if (stable !== stableRevision) throw new Error(`revision ${stable} is stable, not ${stableRevision}`);
  if (share !== 10_000) throw new Error(`the good revision has ${share} of 10,000`);
  const strange = answers.find((it) => it.failure === "" && it.version !== good && it.version !== version);
  if (strange) throw new Error(`version ${strange.version} answered`);
}

function measure({ rollout }: Deployment, version: string): Trial {
  const decidedAt = decisionTime(rollout);
  // Only the bad handler fails, and its errors do not name it.
  const toBad = answers.filter((it) => it.version === version || it.failure !== "");
  const failures = toBad.filter((it) => it.failure !== "");
  const firstAt = Math.min(...toBad.map((it) => it.at));
  const requests = answers.filter((it) => it.at >= firstAt && it.at <= decidedAt).length;
  const before = answers.filter((it) => it.at <= decidedAt && it.version === good).length;
  if (toBad.length === 0 || before === 0) throw new Error("there were no requests to both revisions");
  const limit = informationLimit({ baselineRate: LEAST_RATE, canaryRate: BAD_RATE, weight: WEIGHT, alpha: ALPHA });
  return {
    decisionToLastSentMs: Math.max(...toBad.map((it) => it.sentAt)) - decidedAt,
    requests,
    seconds: (decidedAt - firstAt) / 1000,
    secondsFromFailure: (decidedAt - Math.min(...failures.map((it) => it.at))) / 1000,
    limit,
    ratio: requests / limit,
    failed: failures.length,
  };
}

function decisionTime(rollout: Rollout | undefined): number {
  const at = rollout?.transitions.find((step) => step.to === RolloutState.ROLLING_BACK)?.at;
  if (at === undefined) throw new Error("the rollout was never rolled back");
  return timestampMs(at);
}

/** The deployment once a rollout to a revision after this one is in that state. */
async function settled(after: number, state: RolloutState): Promise<Deployment> {
  return until(async () => {
    const { deployment } = await client.deployments.getDeployment({ name: NAME });
    const rollout = deployment?.rollout;
    return rollout && rollout.toRevision > after && rollout.state === state ? deployment : undefined;
  }, `a rollout is ${RolloutState[state]}`);
}

async function apply(version: string): Promise<void> {
  const { spec, diagnostics } = parseDeployment(`
deployment: ${NAME}
model: voice-detector
version: "${version}"
on: { role: edge }
replicas-per-node: 1
canary: { steps: [{ weight: ${WEIGHT * 100}, hold: 60s }, 100] }
`);
  if (spec === undefined) throw new Error(diagnostics[0]?.message);
  await client.deployments.applyDeployment({ spec });
}

/** Pushes the speech model, spoilt when a number is given; tells its version. */
async function push(name: string, spoilt?: number): Promise<string> {
  const folder = join(cluster.dir, name);
  await mkdir(folder);
  await cp(join(root, "packages/model-server/examples/silero-vad"), folder, { recursive: true });
  await cp(join(root, "node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx"), join(folder, "silero_vad.onnx"));
  if (spoilt !== undefined) await spoil(join(folder, "handler.mjs"), spoilt);
  const { version } = await pushModelFolder(client, folder, { model: "voice-detector" });
  return String(version?.version);
}

async function spoil(handler: string, number: number): Promise<void> {
  const text = await readFile(handler, "utf8");
  const spoilt = text.replace("data.set(input.data,", "data.set(quiet(input.data),");
  if (spoilt === text) throw new Error("the handler has no line to spoil");
  const check = `if (frame.some((sample) => Math.abs(sample) > ${FAILS_ABOVE})) throw new Error("bug ${number}");`;
  await writeFile(handler, `${spoilt}\nfunction quiet(frame) {\n  ${check}\n  return frame;\n}\n`);
}

/** One line about these trials: each figure's median. */
function tell(name: string, trials: readonly Trial[]): void {
  const median = (of: (trial: Trial) => number): number => quantile(trials.map(of), 0.5);
  const limit = median((it) => it.limit);
  const perTick = (CALLERS * TICK_MS) / INTERVAL_MS;
  console.log(
    `${name}: decision to last request sent to it ${median((it) => it.decisionToLastSentMs)} ms; ` +
      `first answer to decision ${median((it) => it.requests)} requests, ${median((it) => it.seconds).toFixed(2)} s ` +
      `(from the first failure ${median((it) => it.secondsFromFailure).toFixed(2)} s), ` +
      `${median((it) => it.ratio).toFixed(2)} x the information limit of ${Math.ceil(limit)}; ` +
      `goal <= ${Math.ceil(1.5 * limit + perTick)} requests; ${median((it) => it.failed)} failed`,
  );
}
