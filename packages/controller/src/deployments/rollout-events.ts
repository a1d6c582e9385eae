import { type Deployment, RolloutState } from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";

const REASONS: Readonly<Record<RolloutState, string>> = {
  [RolloutState.UNSPECIFIED]: "Unknown",
  [RolloutState.PREPARING]: "Preparing",
  [RolloutState.PROGRESSING]: "Progressing",
  [RolloutState.PAUSED]: "Paused",
  [RolloutState.PROMOTING]: "Promoting",
  [RolloutState.SUCCEEDED]: "Promoted",
  [RolloutState.ROLLING_BACK]: "RollingBack",
  [RolloutState.ROLLED_BACK]: "RolledBack",
};

const WARNINGS: ReadonlySet<RolloutState> = new Set([RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK]);

/** Tells people of every transition that a deployment's rollout made between two states of its document. */
export function recordRolloutEvents(events: EventRecorder, before: Deployment, after: Deployment): void {
  const rollout = after.rollout;
  if (rollout === undefined) return;
  const known = before.rollout?.id === rollout.id ? before.rollout.transitions : [];
  const last = known.at(-1)?.at;
  const from = last === undefined ? 0 : rollout.transitions.findLastIndex((step) => isSame(step.at, last)) + 1;
  for (const step of rollout.transitions.slice(from)) {
    events.record({
      kind: "rollout",
      name: after.name,
      reason: REASONS[step.to],
      message: `revision ${rollout.toRevision}: ${step.reason}`,
      warning: WARNINGS.has(step.to),
      fields: { rollout: rollout.id, weight: String(step.weightPercent) },
    });
  }
}

function isSame(a: { seconds: bigint; nanos: number } | undefined, b: { seconds: bigint; nanos: number }): boolean {
  return a?.seconds === b.seconds && a.nanos === b.nanos;
}
