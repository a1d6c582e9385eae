import type { Stratum } from "../evidence/hypergeometric.ts";
import type { Misfit, NodeTrial, WorkloadFacts } from "./health-types.ts";
import { logShareEvidence, logTrialEvidence } from "./share-evidence.ts";

/** Fewer failures than this say nothing of a node, however rare they are elsewhere. */
const MIN_FAILURES = 3;
/** A node must fail so many times as often as the others. */
const MIN_RATIO = 3;
/** Fewer different jobs and revisions than this say nothing by their number. */
const MIN_BREADTH = 3;
/** Below this share of failed requests nobody minds. */
const MIN_REQUEST_RATE = 0.01;

const NOTHING: NodeTrial = { exposure: 0, failures: 0 };

/** A workload on one node, beside the others. */
export interface Comparison extends Misfit {
  /** Enough failures, and enough more than elsewhere, to count against the node. */
  readonly isWorse: boolean;
}

/**
 * Compares every node that may be worse with the others, workload by workload, also by those that speak for it. Workloads
 * that run on one node say nothing.
 */
export function compareWorkloads(
  workloads: readonly WorkloadFacts[],
  span: string,
): ReadonlyMap<string, readonly Comparison[]> {
  const byNode = new Map<string, Comparison[]>(suspectsIn(workloads).map((nodeId) => [nodeId, []]));
  for (const facts of workloads) {
    const all = totalOf(facts.byNode.values());
    if (all.failures === 0) continue;
    for (const [nodeId, here] of facts.byNode) {
      const known = byNode.get(nodeId);
      const comparison = known && compare(facts, { here, all, span });
      if (comparison !== undefined) known?.push(comparison);
    }
  }
  return byNode;
}

/** Nodes on which some workload failed often enough to say anything: few, and only they are worth a look. */
function suspectsIn(workloads: readonly WorkloadFacts[]): string[] {
  const suspects = new Set<string>();
  for (const { byNode } of workloads) {
    for (const [nodeId, { failures }] of byNode) if (failures >= MIN_FAILURES) suspects.add(nodeId);
  }
  return [...suspects];
}

/** How many different workloads of one node failed, beside other nodes. */
export interface Breadth {
  readonly logEvidence: number;
  readonly failing: number;
  readonly tried: number;
}

/**
 * Compares nodes by how many different jobs, and how many different revisions, fail on them, each counted once: a node that
 * breaks everything shows even where nothing of it runs elsewhere. Jobs are compared with jobs only: what they fetch from
 * outside may fail for all of them, on the few nodes that they are packed on. Nodes on which few fail are left out.
 */
export function compareBreadth(workloads: readonly WorkloadFacts[]): ReadonlyMap<string, Breadth> {
  const kinds = (["tasks", "replicas"] as const).map((kind) => {
    const trials = breadthTrials(workloads.filter((facts) => facts.kind === kind));
    return { trials, all: totalOf(trials.values()) };
  });
  const byNode = new Map<string, Breadth>();
  for (const nodeId of new Set(kinds.flatMap(({ trials }) => [...trials.keys()]))) {
    const here = kinds.flatMap(({ trials, all }) => ({ trial: trials.get(nodeId) ?? NOTHING, all }));
    const { failures: failing, exposure: tried } = totalOf(here.map(({ trial }) => trial));
    if (failing < MIN_BREADTH) continue;
    const logs = here.map(({ trial, all }) => logTrialEvidence(stratumOf(trial, all)));
    byNode.set(nodeId, { failing, tried, logEvidence: logs.reduce((sum, log) => sum + log, 0) });
  }
  return byNode;
}

function breadthTrials(workloads: readonly WorkloadFacts[]): ReadonlyMap<string, NodeTrial> {
  const trials = new Map<string, NodeTrial>();
  for (const { byNode } of workloads) {
    for (const [nodeId, { exposure, failures }] of byNode) {
      const before = trials.get(nodeId) ?? { exposure: 0, failures: 0 };
      if (exposure <= 0) continue;
      trials.set(nodeId, { exposure: before.exposure + 1, failures: before.failures + Number(failures > 0) });
    }
  }
  return trials;
}

function totalOf(trials: Iterable<NodeTrial>): NodeTrial {
  const total = { exposure: 0, failures: 0 };
  for (const { exposure, failures } of trials) {
    total.exposure += exposure;
    total.failures += failures;
  }
  return total;
}

function stratumOf(here: NodeTrial, all: NodeTrial): Stratum {
  return {
    canaryTrials: here.exposure,
    canaryHits: here.failures,
    baselineTrials: all.exposure - here.exposure,
    baselineHits: all.failures - here.failures,
  };
}

interface Beside {
  readonly here: NodeTrial;
  readonly all: NodeTrial;
  readonly span: string;
}

function compare({ workload, kind }: WorkloadFacts, { here, all, span }: Beside): Comparison | undefined {
  const elsewhere = { exposure: all.exposure - here.exposure, failures: all.failures - here.failures };
  if (here.exposure <= 0 || elsewhere.exposure <= 0) return undefined;
  const logEvidence =
    kind === "replicas"
      ? logShareEvidence({ share: here.exposure / all.exposure, here: here.failures, all: all.failures })
      : logTrialEvidence(stratumOf(here, all));
  const rate = here.failures / here.exposure;
  const isFrequent = kind !== "requests" || rate >= MIN_REQUEST_RATE;
  const isMore = rate >= (MIN_RATIO * elsewhere.failures) / elsewhere.exposure;
  const reason = {
    text: `${describe(kind, workload, here)} here, ${count(kind, elsewhere)} elsewhere`,
    clears: `nothing more of it fails here within ${span}`,
  };
  return { workload, kind, reason, logEvidence, isWorse: isFrequent && isMore && here.failures >= MIN_FAILURES };
}

function describe(kind: WorkloadFacts["kind"], workload: string, trial: NodeTrial): string {
  const what = { tasks: "tasks of", replicas: "replicas of", requests: "requests to" }[kind];
  return `${what} ${workload} failed: ${count(kind, trial)}`;
}

function count(kind: WorkloadFacts["kind"], { failures, exposure }: NodeTrial): string {
  return kind === "replicas"
    ? `${failures} times in ${exposure.toFixed(1)} replica-minutes`
    : `${failures} of ${exposure}`;
}
