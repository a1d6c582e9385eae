import { timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  type Deployment,
  HealthLevel,
  type Node,
  QuarantineState,
  ReplicaFailure,
  type ReplicaStatus,
} from "@kedge/proto";
import type { View } from "./output.ts";
import { enumName, formatSpan, safeText } from "./text.ts";

/** Why a node is set aside, since when and until when, and what its failures say about it; nothing of one that is well. */
export function healthView({ quarantine, health }: Node): View {
  const lines: string[] = [];
  if (quarantine !== undefined) {
    const state = enumName(QuarantineState, quarantine.state);
    const left = quarantine.until && formatSpan(timestampMs(quarantine.until) - systemClock.now());
    const end = left === undefined ? "until it is released" : `for ${left} more`;
    lines.push(`quarantine: ${state} ${end}, by ${safeText(quarantine.by)}: ${safeText(quarantine.reason)}`);
  }
  for (const { text, clears } of health?.reasons ?? []) {
    lines.push(`${enumName(HealthLevel, health?.level ?? 0)}: ${safeText(text)}; clears when ${safeText(clears)}`);
  }
  return lines;
}

/** Replicas on their way to another node, and nodes that a deployment's new replicas keep off for a while. */
export function movesView({ moves, avoidedNodes }: Deployment): View {
  const moving = moves.map(({ replicaId, toNodeId, reason }) => {
    return `moving: ${safeText(replicaId)} to ${safeText(toNodeId)}: ${safeText(reason || "a rebalance")}`;
  });
  const avoided = avoidedNodes.map(({ nodeId, until, reason }) => {
    const left = until === undefined ? "0s" : formatSpan(timestampMs(until) - systemClock.now());
    return `avoids ${safeText(nodeId)} for ${left} more: ${safeText(reason)}`;
  });
  return [...moving, ...avoided];
}

/** A replica's state, with what made it fail last while it is tried again. */
export function replicaNote({ message, lastFailure, memoryKills, retryAt }: ReplicaStatus): string {
  const wait = retryAt === undefined ? 0 : timestampMs(retryAt) - systemClock.now();
  const failure = lastFailure === ReplicaFailure.UNSPECIFIED ? "" : enumName(ReplicaFailure, lastFailure);
  const parts = [
    message || (failure === "" ? "" : `last failure: ${failure}`),
    memoryKills === 0 ? "" : `killed for its memory ${memoryKills === 1 ? "once" : `${memoryKills} times`}`,
    wait > 0 ? `next try in ${formatSpan(wait)}` : "",
  ];
  return parts.filter(Boolean).join("; ");
}
