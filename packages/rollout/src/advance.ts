import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ArmCountsSchema, type Rollout, RolloutState } from "@kedge/proto";
import { countsOf, waveReplicas } from "./capacity.ts";
import type { RolloutObservation } from "./observation.ts";
import { beginRolling, fullScale } from "./rolling.ts";
import { carries, carriesAll, isRouteInForce, stepObstacle, WAITS_FOR_PERSON } from "./step-completion.ts";
import { currentStep, isLastStep, isPlainFinal, type ResolvedStep, waveCount } from "./strategy-steps.ts";
import { takeBack } from "./take-back.ts";
import { deadlineAt, retireAt } from "./timing.ts";
import { leaveStep, move } from "./transition.ts";

/** Moves a rollout on by one transition, in place, if its state and the world allow it. Tells whether it did. */
export function advance(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  switch (draft.state) {
    case RolloutState.PREPARING:
      return beginStep(draft, observation, now);
    case RolloutState.PROGRESSING:
      return draft.stepStartedAt === undefined ? beginStep(draft, observation, now) : endStep(draft, observation, now);
    case RolloutState.PROMOTING:
      return promote(draft, observation, now);
    case RolloutState.ROLLING_BACK:
      return takeBack(draft, observation, now);
    default:
      return false;
  }
}

function beginStep(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  const step = currentStep(draft);
  if (!mayBegin(draft, step, observation)) return false;
  if (isLastStep(draft) && isPlainFinal(step)) {
    draft.stepStartedAt = undefined;
    move(draft, { to: RolloutState.PROMOTING, now, reason: `all traffic to revision ${draft.toRevision}` });
    return true;
  }
  if (step.traffic === "rolling") beginRolling(draft, observation.replicas);
  draft.stepStartedAt = timestampFromMs(now);
  draft.stepCanary = create(ArmCountsSchema);
  const reason = `step ${draft.step + 1}: ${describeStep(draft, step, observation)}`;
  move(draft, { to: RolloutState.PROGRESSING, now, reason });
  return true;
}

function mayBegin(draft: Rollout, step: ResolvedStep, observation: RolloutObservation): boolean {
  if (step.traffic === "rolling") return fullScale(draft, observation.replicas) > 0;
  if (step.traffic === "return") return countsOf(observation.replicas, draft.toRevision).ready > 0;
  return carries(draft, observation, { wave: step.wave, percent: step.readyPercent });
}

function endStep(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  if (draft.waitsForPerson && draft.promoteRequested) {
    // The person's wait was not the rollout's delay.
    draft.waitsForPerson = false;
    draft.progressAt = timestampFromMs(now);
  }
  const obstacle = stepObstacle(draft, observation, now);
  if (obstacle === WAITS_FOR_PERSON && !draft.waitsForPerson) {
    draft.waitsForPerson = true;
    move(draft, {
      to: RolloutState.PROGRESSING,
      now,
      reason: `step ${draft.step + 1}${conclusion(draft)} ${obstacle}`,
    });
    return true;
  }
  if (obstacle !== undefined) return false;
  const asked = draft.promoteRequested ? ", promoted by the user" : "";
  const reason = `step ${draft.step + 1} done after ${draft.stepCanary?.requests ?? 0n} requests${asked}`;
  const ended = currentStep(draft);
  leaveStep(draft);
  draft.stepStartedAt = undefined;
  if (isLastStep(draft)) {
    move(draft, { to: RolloutState.PROMOTING, now, reason });
    return true;
  }
  draft.step += 1;
  move(draft, { to: RolloutState.PROGRESSING, now, reason, weightPercent: ended.weightPercent });
  return true;
}

function promote(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  const first = draft.fromRevision === 0;
  const whole = first || carriesAll(draft, observation);
  if (!whole || !isRouteInForce(draft, observation)) {
    // A node that joins, or a replica that dies, while the old replicas are kept: wait for it again.
    draft.stepStartedAt = undefined;
    if (!first || now < deadlineAt(draft)) return false;
    move(draft, { to: RolloutState.SUCCEEDED, now, reason: "serves; not every node has applied the route in time" });
    return true;
  }
  draft.stepStartedAt ??= timestampFromMs(now);
  if (now < (retireAt(draft) ?? 0)) return false;
  const failed = countsOf(observation.replicas, draft.toRevision).failed;
  const but = failed === 0 ? "" : `; ${failed} failed replicas are within what the waves allow`;
  move(draft, { to: RolloutState.SUCCEEDED, now, reason: `revision ${draft.toRevision} serves all traffic${but}` });
  return true;
}

function describeStep(draft: Rollout, step: ResolvedStep, observation: RolloutObservation): string {
  const { ready, desired } = countsOf(waveReplicas(observation, step.wave, waveCount(draft)), draft.toRevision);
  const on = `on ${ready} of ${desired} ready replicas`;
  switch (step.traffic) {
    case "split":
      return `${step.weightPercent} %${waveWord(draft, step.wave)} ${on}`;
    case "preview":
      return `preview ${on}`;
    case "match":
      return `requests that match ${on}`;
    case "mirror":
      return `copies of ${step.readyPercent} % of the requests ${on}`;
    case "rolling":
      return `${desired} replicas are exchanged`;
    case "return":
      return `traffic follows the replicas that are ready, ${ready} of ${desired}`;
    default:
      return step.traffic satisfies never;
  }
}

function waveWord(draft: Rollout, wave: number): string {
  const kind = draft.strategy?.kind;
  const name = kind?.case === "canary" ? kind.value.waves[wave]?.name : undefined;
  return name === undefined ? "" : ` of wave ${name}`;
}

/** What is known when a person has to decide. */
function conclusion(draft: Rollout): string {
  if (draft.strategy?.kind.case === "abTest") return ` is over (${draft.verdict?.reason ?? "nothing is proven"}) and`;
  const { compared, differing } = draft.comparisons ?? { compared: 0n, differing: 0n };
  return compared > 0n ? ` is over (${differing} of ${compared} mirrored answers differ) and` : "";
}
