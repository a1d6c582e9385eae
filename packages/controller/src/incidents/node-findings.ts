import { timestampMs } from "@bufbuild/protobuf/wkt";
import { IncidentKind, IncidentSeverity, type Node, QuarantineState } from "@kedge/proto";
import type { Finding } from "./finding.ts";

/** A node that does not report any more. */
export function lostFinding(nodeId: string, replicas: number, beganAtMs: number): Finding {
  return {
    key: `node/${nodeId}/lost`,
    kind: IncidentKind.NODE,
    severity: replicas > 0 ? IncidentSeverity.CRITICAL : IncidentSeverity.WARNING,
    subject: { nodeId },
    summary: `node ${nodeId} is lost`,
    reason: `no heartbeat for more than 10 s; ${replicas} replicas are assigned to it`,
    beganAtMs,
  };
}

/** A node that is set aside; by a person it is no trouble but a wish. */
export function quarantineFinding({ id, quarantine }: Node): Finding | undefined {
  if (quarantine?.state !== QuarantineState.ACTIVE || quarantine.by !== "controller") return undefined;
  const { since, reason } = quarantine;
  const beganAtMs = since === undefined ? 0 : timestampMs(since);
  return {
    key: `node/${id}/quarantine`,
    kind: IncidentKind.NODE,
    severity: IncidentSeverity.WARNING,
    subject: { nodeId: id },
    summary: `node ${id} is in quarantine`,
    reason,
    beganAtMs,
    actions: [{ atMs: beganAtMs, what: `quarantined ${id}: nothing new is placed on it` }],
  };
}
