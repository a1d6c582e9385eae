import type {
  AbTestStrategy,
  AnalysisSpec,
  CanaryStrategy,
  CanaryWave,
  DeploymentSpec,
  RollingStrategy,
  ShadowStrategy,
  Strategy,
  WarmUp,
} from "@kedge/proto";
import { ownMetricProblems } from "./own-metric-problems.ts";
import { requestKeyProblem, requestMatchProblems } from "./request-keys.ts";
import type { SpecProblem } from "./spec-problem.ts";

/** Largest numbers of a strategy. */
export const STRATEGY_LIMITS = { steps: 50, waves: 20, warmUpSeconds: 3_600, warmUpRequests: 1_000_000 } as const;

const WAVE_NAME = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;
const WHOLE = 10_000;

type Spec = Pick<DeploymentSpec, "strategy" | "analysis" | "scale">;
type Path = SpecProblem["path"];

/**
 * What is wrong with the way a deployment asks to be rolled out: in each field, and between fields. Paths begin with
 * `strategy` or `analysis`. Whatever has none of these problems can be carried out as it is written.
 */
export function strategyProblems({ strategy, analysis, scale }: Spec): SpecProblem[] {
  const metrics = under(["analysis"], ownMetricProblems(analysis, strategy));
  if (strategy === undefined) return metrics;
  const isPerNode = scale.case === "replicasPerNode";
  const found = [
    ...kindProblems(strategy, isPerNode),
    ...stickyProblems(strategy),
    ...warmUpProblems(strategy.warmUp),
    ...(strategy.kind.case === "rolling" && strategy.scaleDownDelaySeconds > 0
      ? [
          {
            path: ["scale_down_delay_seconds"],
            message: "a rolling rollout has taken the old replicas away when it ends",
          },
        ]
      : []),
  ];
  return [...under(["strategy"], found), ...under(["analysis"], passProblems(strategy, analysis)), ...metrics];
}

function kindProblems({ kind }: Strategy, isPerNode: boolean): SpecProblem[] {
  switch (kind.case) {
    case "canary":
      return under(["canary"], [...stepProblems(kind.value), ...wavesProblems(kind.value, isPerNode)]);
    case "rolling":
      return under(["rolling"], rollingProblems(kind.value, isPerNode));
    case "abTest":
      return under(["ab_test"], abTestProblems(kind.value));
    case "shadow":
      return under(["shadow"], shadowProblems(kind.value));
    default:
      return [];
  }
}

function stepProblems({ steps }: CanaryStrategy): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (steps.length > STRATEGY_LIMITS.steps) {
    problems.push({ path: ["steps"], message: `must be at most ${STRATEGY_LIMITS.steps} steps, not ${steps.length}` });
  }
  for (const [i, { weightPercent: weight }] of steps.entries()) {
    const path = ["steps", i, "weight_percent"];
    const before = steps[i - 1]?.weightPercent ?? 0;
    if (weight < 1 || weight > 100) problems.push({ path, message: `must be 1 to 100, not ${weight}` });
    else if (weight <= before) problems.push({ path, message: `weights must ascend: ${weight} comes after ${before}` });
  }
  return problems;
}

function wavesProblems({ waves, maxFailedPercent: allowed }: CanaryStrategy, isPerNode: boolean): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (allowed > 100) problems.push({ path: ["max_failed_percent"], message: `must be at most 100, not ${allowed}` });
  if (waves.length === 0) {
    if (allowed === 0) return problems;
    const hint = "without waves one failed replica ends the rollout";
    return [...problems, { path: ["max_failed_percent"], message: "is for waves", hint }];
  }
  if (!isPerNode) {
    const message = "waves go from node to node, so they need replicas on every node";
    problems.push({ path: ["waves"], message, hint: "give replicas_per_node in place of replicas" });
  }
  if (waves.length < 2 || waves.length > STRATEGY_LIMITS.waves) {
    problems.push({ path: ["waves"], message: `must be 2 to ${STRATEGY_LIMITS.waves} waves, not ${waves.length}` });
  }
  return [...problems, ...waves.flatMap((_, i) => waveProblems(waves, i))];
}

/** A node is in the first wave that it fits, so a wave may hold what is left of another, but not nothing at all. */
function waveProblems(waves: readonly CanaryWave[], i: number): SpecProblem[] {
  const wave = waves[i];
  if (wave === undefined) return [];
  const problems: SpecProblem[] = [];
  const earlier = waves.slice(0, i);
  if (!WAVE_NAME.test(wave.name)) {
    const hint = "lower-case letters, digits and inner dashes, 1 to 40 characters";
    problems.push({
      path: ["waves", i, "name"],
      message: `${JSON.stringify(wave.name.slice(0, 80))} is no name`,
      hint,
    });
  }
  if (earlier.some(({ name }) => name === wave.name)) {
    problems.push({ path: ["waves", i, "name"], message: `there is a wave ${JSON.stringify(wave.name)} already` });
  }
  const isRest = Object.keys(wave.nodeSelector).length === 0;
  const isLast = i === waves.length - 1;
  if (isRest !== isLast) {
    const message = isLast
      ? "the last wave must be the nodes that are left"
      : "takes all nodes that are left, so it must be the last";
    const hint = isLast ? "end with a wave without labels" : "give it labels";
    return [...problems, { path: ["waves", i, "node_selector"], message, hint }];
  }
  const swallower = isRest ? undefined : earlier.find((other) => takesAllOf(other, wave));
  if (swallower !== undefined) {
    const message = `no node is left for it: all that have its labels are in wave ${JSON.stringify(swallower.name)}`;
    problems.push({ path: ["waves", i, "node_selector"], message, hint: "put the wave with more labels first" });
  }
  return problems;
}

/** Tells whether every node that fits a wave fits another one as well. */
function takesAllOf(other: CanaryWave, wave: CanaryWave): boolean {
  const wanted = Object.entries(other.nodeSelector);
  return wanted.length > 0 && wanted.every(([label, value]) => wave.nodeSelector[label] === value);
}

function rollingProblems(rolling: RollingStrategy, isPerNode: boolean): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (isPerNode) {
    const hint = "use a canary with waves to go over a fleet bit by bit";
    problems.push({ path: [], message: "rolling and replicas_per_node exclude each other", hint });
  }
  const { maxSurge, maxUnavailable } = rolling;
  for (const [name, amount] of [
    ["max_surge", maxSurge],
    ["max_unavailable", maxUnavailable],
  ] as const) {
    if (amount?.value.case !== "percent" || amount.value.value <= 100) continue;
    problems.push({ path: [name, "percent"], message: `must be at most 100, not ${amount.value.value}` });
  }
  return problems;
}

function abTestProblems({ by, weightPercent }: AbTestStrategy): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (weightPercent > 100) {
    problems.push({ path: ["weight_percent"], message: `must be at most 100, not ${weightPercent}` });
  }
  if (by.case === "match") return [...problems, ...under(["match"], requestMatchProblems(by.value))];
  if (by.case === "hash") return [...problems, ...under(["hash"], asList(requestKeyProblem(by.value)))];
  const hint = "match: requests that get the new revision; hash: a share of the users";
  return [...problems, { path: [], message: "one of match, hash is required", hint }];
}

function shadowProblems({ mirrorPercent, maxDifferingBasisPoints: allowed }: ShadowStrategy): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (mirrorPercent > 100) {
    problems.push({ path: ["mirror_percent"], message: `must be at most 100, not ${mirrorPercent}` });
  }
  if (allowed > WHOLE) {
    problems.push({ path: ["max_differing_basis_points"], message: `must be at most ${WHOLE}, not ${allowed}` });
  }
  return problems;
}

function stickyProblems({ sticky, kind }: Strategy): SpecProblem[] {
  if (sticky === undefined) return [];
  const problems = under(["sticky"], asList(requestKeyProblem(sticky)));
  if (kind.case === "abTest" && kind.value.by.case === "hash") {
    const hint = "the test's hash keeps users where they are";
    return [...problems, { path: ["sticky"], message: "sticky and ab_test.hash exclude each other", hint }];
  }
  if (kind.case === "canary" || kind.case === "abTest") return problems;
  return [...problems, { path: ["sticky"], message: "needs a split, and this strategy has none" }];
}

function warmUpProblems(warmUp: WarmUp | undefined): SpecProblem[] {
  const { warmUpSeconds, warmUpRequests } = STRATEGY_LIMITS;
  const { seconds = 0, requests = 0 } = warmUp ?? {};
  return [...atMost("seconds", seconds, warmUpSeconds), ...atMost("requests", requests, warmUpRequests)].map(
    (problem) => ({ ...problem, path: ["warm_up", ...problem.path] }),
  );
}

function atMost(field: string, value: number, most: number): SpecProblem[] {
  return value > most ? [{ path: [field], message: `must be at most ${most}, not ${value}` }] : [];
}

/** A pass that nobody can give would be waited for until the deadline, or asked for in vain. */
function passProblems({ kind }: Strategy, analysis: AnalysisSpec | undefined): SpecProblem[] {
  if (!analysis?.passRequired) return [];
  const path = ["pass_required"];
  if (analysis.disabled) return [{ path, message: "a judge that is disabled passes nothing" }];
  if (kind.case === "abTest" && kind.value.by.case === "match") {
    return [{ path, message: "requests that match are not assigned by chance, so the judge passes nothing" }];
  }
  const hint = "use a canary, or an A/B test by hash";
  const isAtOnce = kind.case === "blueGreen" || kind.case === "allAtOnce" || kind.case === "rolling";
  if (isAtOnce) return [{ path, message: "this strategy has no step in which the judge could pass anything", hint }];
  const steps =
    kind.case === "canary" ? kind.value.steps.filter(({ weightPercent }) => weightPercent < 100) : undefined;
  if (steps === undefined || steps.some(({ unjudged }) => !unjudged)) return [];
  return [{ path, message: "no step before all traffic is judged", hint: "let the judge look at one of them" }];
}

function under(path: Path, problems: readonly SpecProblem[]): SpecProblem[] {
  return problems.map((problem) => ({ ...problem, path: [...path, ...problem.path] }));
}

function asList(problem: SpecProblem | undefined): SpecProblem[] {
  return problem === undefined ? [] : [problem];
}
