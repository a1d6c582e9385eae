// Bad releases under 200 requests/s with 10 % of them: how soon each is found, and how soon nobody is sent to it any more,
// beside the least number of requests that any test needs, and beside an observer who judges after every single answer.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createJudge } from "@kedge/analysis";
import { pushModelFolder } from "@kedge/client";
import { parseDeployment } from "@kedge/pipeline";
import { type Deployment, type Rollout, RolloutState, VerdictKind } from "@kedge/proto";
import { CALLERS, INTERVAL_MS } from "../../deploy/demo/callers.ts";
import { Load } from "../../deploy/demo/load.ts";
import type { Answer } from "../../deploy/demo/load-report.ts";
import { quantile, startBenchCluster, until } from "./bench-cluster.ts";
import { ALPHA, FAULTS, type Fault, modelFolder, WEIGHT } from "./faults.ts";

const TRIALS = Number(process.env["KEDGE_BENCH_TRIALS"] ?? 3);
const NAME = "voice";
const GOAL_OVER_EVIDENCE_MS = 250;
/** Reports of the callers come ten times a second. */
const LAST_REPORTS_MS = 1500;
/** As the controller judges these deployments: a tenth of alpha is the nodes', and the metrics share the rest. */
const OBSERVER = {
  alpha: 0.9 * ALPHA,
  latency: { tolerance: { part: 0.1, floor: 2 }, settle: 50 },
  shares: { errors: 1, latency: 1, predictions: 1 },
};

interface Trial {
  readonly requests: number;
  readonly seconds: number;
  readonly limit: number;
  readonly failed: number;
  readonly decisionToLastSentMs: number;
  readonly evidenceToLastSentMs: number;
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
let newest = stableRevision;
const { nodes } = await client.nodes.listNodes({});
const gateways = nodes.map((node) => node.gatewayAddress);
const load = new Load(NAME, gateways, (answer) => answers.push(answer));
const perSecond = (CALLERS * 1000) / INTERVAL_MS;
console.log(
  `${perSecond} requests/s, ${WEIGHT * 100} % to the new revision, alpha ${ALPHA}, ${TRIALS} trials each; medians`,
);
try {
  await load.firstAnswer;
  for (const fault of FAULTS) await measureFault(fault);
} finally {
  await load.stop();
}

async function measureFault(fault: Fault): Promise<void> {
  const trials: Trial[] = [];
  for (let number = 1; number <= TRIALS; number++) trials.push(await trial(fault, number));
  const median = (of: (trial: Trial) => number): number => quantile(trials.map(of), 0.5);
  const worst = Math.max(...trials.map((it) => it.evidenceToLastSentMs));
  console.log(
    `${fault.name}: first answer to decision ${trials.map((it) => it.requests).join(", ")} requests, ` +
      `${median((it) => it.requests / it.limit).toFixed(2)} x the limit of ${Math.ceil(median((it) => it.limit))}; ` +
      `${median((it) => it.seconds).toFixed(2)} s, ${median((it) => it.failed)} failed; ` +
      `decision to the last request sent ${median((it) => it.decisionToLastSentMs)} ms; ` +
      `from enough evidence to that ${median((it) => it.evidenceToLastSentMs)} ms, worst ${worst} ms (goal < ${GOAL_OVER_EVIDENCE_MS})`,
  );
}

async function trial(fault: Fault, number: number): Promise<Trial> {
  const version = await push(`${fault.metric}-${number}`, fault, number);
  answers.length = 0;
  const before = newest;
  await apply(version);
  const deployment = await settled(before, RolloutState.ROLLED_BACK);
  newest = deployment.rollout?.toRevision ?? 0;
  await new Promise((resolve) => setTimeout(resolve, LAST_REPORTS_MS));
  assertRolledBack(deployment, version, fault);
  return measure(deployment, version, fault);
}

function assertRolledBack({ rollout, route, stableRevision: stable }: Deployment, version: string, fault: Fault): void {
  const share = route?.splits.find((split) => split.revision === stableRevision)?.basisPoints;
  const verdict = rollout?.verdict;
  const isDecided = verdict?.kind === VerdictKind.ROLLBACK && verdict.metric === fault.metric;
  if (!isDecided)
    throw new Error(`${fault.name} was not what version ${version} was rolled back for: ${verdict?.reason}`);
  if (stable !== stableRevision) throw new Error(`revision ${stable} is stable, not ${stableRevision}`);
  if (share !== 10_000) throw new Error(`the good revision has ${share} of 10,000`);
  const strange = answers.find((it) => it.failure === "" && it.version !== good && it.version !== version);
  if (strange) throw new Error(`version ${strange.version} answered`);
}

function measure({ rollout }: Deployment, version: string, fault: Fault): Trial {
  const decidedAt = decisionTime(rollout);
  // Only the bad handler fails, and its errors do not name it.
  const isBad = (it: Answer): boolean => it.version === version || it.failure !== "";
  const toBad = answers.filter(isBad);
  const toGood = answers.filter((it) => it.version === good);
  if (toBad.length === 0 || toGood.length === 0) throw new Error("there were no requests to both revisions");
  const firstAt = Math.min(...toBad.map((it) => it.at));
  const lastSentAt = Math.max(...toBad.map((it) => it.sentAt));
  const since = answers.filter((it) => it.at >= firstAt);
  return {
    requests: since.filter((it) => it.at <= decidedAt).length,
    seconds: (decidedAt - firstAt) / 1000,
    limit: fault.limit(toGood, toBad),
    failed: toBad.filter((it) => it.failure !== "").length,
    decisionToLastSentMs: lastSentAt - decidedAt,
    evidenceToLastSentMs: lastSentAt - evidenceTime(since, isBad),
  };
}

/** When a judge who looks after every answer would have decided. */
function evidenceTime(seen: readonly Answer[], isBad: (answer: Answer) => boolean): number {
  const judge = createJudge(OBSERVER);
  const none = { requests: 0, errors: 0, latencyMs: [] as number[], predictions: {} };
  for (const answer of seen.toSorted((a, b) => a.at - b.at)) {
    const failed = answer.failure !== "";
    const one = {
      requests: 1,
      errors: failed ? 1 : 0,
      latencyMs: failed ? [] : [answer.at - answer.sentAt],
      predictions: answer.label === "" ? {} : { [answer.label]: 1 },
    };
    const arms = isBad(answer) ? { baseline: none, canary: one } : { baseline: one, canary: none };
    if (judge.observe({ seconds: 0, weight: WEIGHT, ...arms }).verdict === "rollback") return answer.at;
  }
  return Math.max(...seen.map((it) => it.at));
}

function decisionTime(rollout: Rollout | undefined): number {
  const at = rollout?.transitions.find((step) => step.to === RolloutState.ROLLING_BACK)?.at;
  if (at === undefined) throw new Error("the rollout was never rolled back");
  return timestampMs(at);
}

/** The deployment once a rollout to a revision after this one is in that state. */
async function settled(after: number, state: RolloutState): Promise<Deployment> {
  return until(
    async () => {
      const { deployment } = await client.deployments.getDeployment({ name: NAME });
      const rollout = deployment?.rollout;
      return rollout && rollout.toRevision > after && rollout.state === state ? deployment : undefined;
    },
    `a rollout is ${RolloutState[state]}`,
    120_000,
  );
}

async function apply(version: string): Promise<void> {
  const { spec, diagnostics } = parseDeployment(`
deployment: ${NAME}
model: voice-detector
version: "${version}"
on: { role: edge }
replicas-per-node: 1
canary: { steps: [{ weight: ${WEIGHT * 100}, hold: 110s }, 100] }
analysis: { alpha: ${ALPHA}, metrics: [errors, latency, predictions] }
`);
  if (spec === undefined) throw new Error(diagnostics[0]?.message);
  await client.deployments.applyDeployment({ spec });
}

/** Pushes the speech model, spoilt when a fault is given; tells its version. */
async function push(name: string, fault?: Fault, number = 0): Promise<string> {
  const folder = await modelFolder(cluster.dir, name, fault, number);
  const { version } = await pushModelFolder(client, folder, { model: "voice-detector" });
  return String(version?.version);
}
