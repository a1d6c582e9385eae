import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { type Deployment, type Rollout, RolloutState, type Verdict, VerdictKind } from "@kedge/proto";
import { describeDecision } from "@kedge/rollout/local";
import type { View } from "./output.ts";
import type { Table } from "./table.ts";
import { enumName, formatSpan, safeText } from "./text.ts";

const BAR = 20;
const DEFAULT_ALPHA = 0.01;
const MAX_DECISIONS = 8;

/** Where a rollout goes from and to, and its state. */
export function rolloutWord(rollout: Rollout): string {
  return `${rollout.fromRevision}→${rollout.toRevision} ${enumName(RolloutState, rollout.state)}`;
}

/** A deployment's rollout: where it is, what it waits for, what the judge has, and how it came there. */
export function rolloutView(deployment: Deployment): View {
  const { rollout } = deployment;
  if (rollout === undefined) return ["no rollout yet"];
  return [
    ...nextLines(deployment),
    `rollout ${rolloutWord(rollout)}, step ${rollout.step + 1}`,
    ...outlookLines(deployment),
    ...judgeLines(rollout, neededBy(deployment)),
    ...decisionLines(rollout),
    transitionTable(rollout),
  ];
}

/** All rollouts that are kept, oldest first, each with the reasons of all its moves. */
export function historyView({ history, rollout }: Deployment): View {
  const all = rollout === undefined ? history : [...history, rollout];
  if (all.length === 0) return ["no rollout yet"];
  return all.flatMap((one) => [
    `${one.returning ? "return" : "rollout"} ${rolloutWord(one)}`,
    ...(one.verdict?.reason ? [safeText(`verdict: ${one.verdict.reason}`)] : []),
    ...decisionLines(one),
    transitionTable(one),
  ]);
}

/** One line that says where a deployment is, for watching. */
export function deploymentLine(deployment: Deployment): string {
  const { name, route, rollout, outlook } = deployment;
  const splits = route?.splits.map((split) => `${split.revision}:${split.basisPoints / 100}%`).join(" ");
  const parts = [
    rollout === undefined ? "no rollout" : rolloutWord(rollout),
    splits || "no traffic",
    ...(outlook?.waitsFor ? [outlook.waitsFor] : []),
    ...(rollout?.verdict?.reason
      ? [`${evidenceBar(rollout.verdict, neededBy(deployment))} ${rollout.verdict.reason}`]
      : []),
  ];
  return safeText(`deployment ${name}: ${parts.join(", ")}`);
}

function nextLines({ nextRollout }: Deployment): string[] {
  if (nextRollout === undefined) return [];
  return [safeText(`next: revision ${nextRollout.revision}, ${nextRollout.reason}`)];
}

function transitionTable(rollout: Rollout): Table {
  return {
    columns: ["AGO", "STATE", "WEIGHT", "WHY"],
    rows: rollout.transitions.map((move) => [
      move.at === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(move.at)),
      enumName(RolloutState, move.to),
      `${move.weightPercent}%`,
      move.reason,
    ]),
  };
}

function outlookLines({ name, outlook }: Deployment): string[] {
  if (outlook === undefined) return [];
  const { waitsFor, next, commands, requestsMissing, requestsPerSecond, stepEndsAt, deadlineAt } = outlook;
  const rate = requestsPerSecond > 0 ? `, ${requestsPerSecond.toFixed(1)} a second` : "";
  const missing = requestsMissing > 0n ? [`${requestsMissing} requests missing${rate}`] : [];
  const ends = stepEndsAt === undefined ? [] : [`step ends in ${until(stepEndsAt)} at the earliest`];
  return [
    ...(waitsFor === "" ? [] : [`waits for: ${[waitsFor, ...missing, ...ends].join("; ")}`]),
    ...(next === "" ? [] : [`then: ${next}`]),
    ...(deadlineAt === undefined ? [] : [`deadline: ${until(deadlineAt)} without progress`]),
    ...(commands.length === 0 ? [] : [`by hand: kedge rollout ${commands.join("|")} ${name}`]),
  ].map(safeText);
}

function until(at: Timestamp): string {
  return formatSpan(timestampMs(at) - systemClock.now());
}

function judgeLines({ verdict }: Rollout, needed: number): string[] {
  if (verdict === undefined || verdict.reason === "") return [];
  const { effectLow, effectHigh, moreRequests } = verdict;
  const isKnown = effectLow !== 0 || effectHigh !== 0;
  const more = moreRequests > 0n ? `, about ${moreRequests} more requests to a roll-back` : "";
  return [
    `verdict: ${verdict.reason}`,
    `evidence: ${evidenceBar(verdict, needed)} ${numberText(verdict.evidence)} of ${numberText(needed)}${more}`,
    ...(isKnown ? [`effect on ${verdict.metric}: ${effectText(verdict)}`] : []),
  ].map(safeText);
}

/** What nodes decided while they were cut off; all of it is in the JSON. */
function decisionLines({ localDecisions }: Rollout): string[] {
  const shown = localDecisions.slice(-MAX_DECISIONS).map((decision) => `cut off: ${describeDecision(decision)}`);
  const more = localDecisions.length - shown.length;
  return [...(more > 0 ? [`cut off: more nodes decided by themselves, ${more} in all`] : []), ...shown].map(safeText);
}

function effectText({ effect, effectLow, effectHigh }: Verdict): string {
  return `${numberText(effect)}, at all times between ${numberText(effectLow)} and ${numberText(effectHigh)}`;
}

function neededBy({ outlook, rollout }: Deployment): number {
  return outlook?.evidenceNeeded || 1 / (rollout?.alpha || DEFAULT_ALPHA);
}

/** Evidence multiplies, so its bar is as long as its logarithm. */
function evidenceBar({ evidence, kind }: Verdict, needed: number): string {
  const part = evidence > 1 ? Math.log(evidence) / Math.log(needed) : 0;
  const isDecided = kind === VerdictKind.PASS || kind === VerdictKind.ROLLBACK;
  const filled = isDecided ? BAR : Math.min(BAR - 1, Math.floor(part * BAR));
  return `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}]`;
}

function numberText(value: number): string {
  if (!Number.isFinite(value)) return value < 0 ? "-∞" : "∞";
  if (Math.abs(value) >= 1e6) return value.toExponential(1);
  return Number(value.toPrecision(3)).toString();
}
