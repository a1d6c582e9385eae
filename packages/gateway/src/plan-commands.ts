import type { GatewayPlan, PlannedServer } from "./gateway-plan.ts";

/** A server as HAProxy reports it. */
export interface ActualServer {
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly state: "ready" | "drain" | "maint";
}

/** What HAProxy holds: servers by `backend/server`, routes by deployment. */
export interface ActualState {
  readonly servers: ReadonlyMap<string, ActualServer>;
  readonly routes: ReadonlyMap<string, string>;
}

/** Name of a server slot, e.g. "s0/e1". */
export function slotName(backend: number, slot: number): string {
  return `s${backend}/e${slot}`;
}

/** Value of the route map for every deployment: the backend and the epoch of its split, e.g. "s0:17". */
export function plannedRoutes(plan: GatewayPlan): Map<string, string> {
  const routes = new Map<string, string>();
  for (const [index, { split }] of plan.backends.entries()) {
    if (split) routes.set(split.deployment, `s${index}:${split.epoch}`);
  }
  return routes;
}

/**
 * Commands that turn what HAProxy holds into the plan, none when it matches. Servers are added before others lose
 * weight, and a deployment's route appears after its servers and disappears before them, so no request in between finds
 * nothing to serve it.
 */
export function planCommands(actual: ActualState, plan: GatewayPlan, mapFile: string): string[] {
  const additions: string[] = [];
  const drains: string[] = [];
  for (const [index, backend] of plan.backends.entries()) {
    for (const [slot, server] of backend.servers.entries()) {
      if (server === undefined) continue;
      const commands = serverCommands(slotName(index, slot), actual.servers.get(slotName(index, slot)), server);
      (server.draining ? drains : additions).push(...commands);
    }
  }
  const routes = plannedRoutes(plan);
  const withdrawn = [...actual.routes.keys()]
    .filter((key) => !routes.has(key))
    .map((key) => `del map ${mapFile} ${key}`);
  const changed = [...routes]
    .filter(([key, value]) => actual.routes.get(key) !== value)
    .map(([key, value]) => `${actual.routes.has(key) ? "set" : "add"} map ${mapFile} ${key} ${value}`);
  return [...withdrawn, ...additions, ...drains, ...changed];
}

function serverCommands(name: string, actual: ActualServer | undefined, planned: PlannedServer): string[] {
  const commands: string[] = [];
  if (planned.draining) {
    if (actual?.state === "ready") commands.push(`set server ${name} state drain`);
    return commands;
  }
  if (actual?.host !== planned.host || actual.port !== planned.port) {
    commands.push(`set server ${name} addr ${planned.host} port ${planned.port}`);
  }
  if (actual?.weight !== planned.weight) commands.push(`set server ${name} weight ${planned.weight}`);
  if (actual?.state !== "ready") commands.push(`set server ${name} state ready`);
  return commands;
}
