import { type Incident, IncidentKind, NodeState, QuarantineState } from "@kedge/proto";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Stores } from "../stores.ts";
import type { FleetWatch } from "./fleet-watch.ts";
import { rolloutOver } from "./rollout-findings.ts";

/** How things stand with what an incident is about. */
export type Condition =
  | { readonly is: "bad" }
  /** Closed once it has been so for `calmMs`. */
  | { readonly is: "normal"; readonly calmMs: number; readonly how: string }
  /** Nobody tells. */
  | { readonly is: "unknown" };

/** What conditions are read from. */
export interface ConditionSources {
  readonly stores: Stores;
  readonly registry: Pick<NodeRegistry, "state">;
  readonly watch: FleetWatch;
}

/** Normal for so long is over: no flapping. */
const CALM_MS = 300_000;
const NODE_CALM_MS = 30_000;
/** A figure older than this is no news. */
const STALE_MS = 60_000;
/** Nobody told anything of it for so long. */
const SILENCE_MS = 3_600_000;

/** Looks whether what an incident is about still is so. Incidents of others' keys are theirs to close. */
export function conditionOf(incident: Incident, sources: ConditionSources, nowMs: number): Condition {
  const { stores, watch } = sources;
  const { deployment = "", nodeId = "", revision = 0 } = incident.subject ?? {};
  if (deployment !== "" && stores.deployments.get(deployment) === undefined) return over("the deployment was deleted");
  if (deployment === "" && nodeId !== "" && stores.nodes.get(nodeId) === undefined) return over("the node was removed");
  switch (incident.kind) {
    case IncidentKind.ANOMALY:
      return anomaly(incident, watch, nowMs);
    case IncidentKind.BURN_RATE:
      return burn(deployment, watch);
    case IncidentKind.ROLLOUT: {
      const how = rolloutOver(incident, stores.deployments.get(deployment)?.value);
      return how === undefined ? { is: "bad" } : over(how);
    }
    case IncidentKind.REPLICA:
      return watch.replicas.isFailing(deployment, revision, nowMs)
        ? { is: "bad" }
        : { is: "normal", calmMs: CALM_MS, how: "no replica failed for 15 min" };
    case IncidentKind.NODE:
      return node(incident, sources);
    case IncidentKind.UNSPECIFIED:
      return { is: "unknown" };
    default:
      return incident.kind satisfies never;
  }
}

const over = (how: string): Condition => ({ is: "normal", calmMs: 0, how });

function anomaly(incident: Incident, watch: FleetWatch, nowMs: number): Condition {
  const [{ usual, limit, metric = "" } = {}] = incident.series;
  const value = newestOf(incident, watch, nowMs - STALE_MS);
  if (value === undefined || usual === undefined || limit === undefined) return silent();
  const isBad = limit >= usual ? value > limit : value < limit;
  return isBad ? { is: "bad" } : { is: "normal", calmMs: CALM_MS, how: `${metric} is as usual again` };
}

/** Of a deployment that has no more traffic, or a node that is gone: closed in the end. */
const silent = (): Condition => ({ is: "normal", calmMs: SILENCE_MS, how: "nothing was heard of it for an hour" });

/** The newest figure of the metric that the incident's first series shows. */
function newestOf({ subject, key }: Incident, watch: FleetWatch, sinceMs: number): number | undefined {
  const { deployment = "", nodeId = "" } = subject ?? {};
  if (deployment === "") {
    return watch.node(nodeId)?.track.newest(key.endsWith("/memory") ? "free memory" : "load average", sinceMs);
  }
  const served = watch.deployment(deployment);
  const track = nodeId === "" ? served?.track : served?.nodeTrack(nodeId);
  if (key.endsWith("/latency")) return track?.newest("response time", sinceMs);
  if (key.endsWith("/traffic")) return track?.newest("requests", sinceMs);
  return track?.newest(key.endsWith("/predictions") ? "prediction shift" : "error rate", sinceMs);
}

function burn(deployment: string, watch: FleetWatch): Condition {
  const served = watch.deployment(deployment);
  if (served === undefined) return silent();
  if (served.burn.burning !== undefined) return { is: "bad" };
  return { is: "normal", calmMs: CALM_MS, how: "the budget burns no faster than it may" };
}

function node({ key, subject }: Incident, { registry, stores }: ConditionSources): Condition {
  const nodeId = subject?.nodeId ?? "";
  if (key.endsWith("/quarantine")) {
    const { state } = stores.nodes.get(nodeId)?.value.quarantine ?? {};
    return state === QuarantineState.ACTIVE ? { is: "bad" } : over("its quarantine is over");
  }
  if (!key.endsWith("/lost")) return { is: "unknown" };
  const isReady = registry.state(nodeId) === NodeState.READY;
  return isReady ? { is: "normal", calmMs: NODE_CALM_MS, how: "the node reports again" } : { is: "bad" };
}
