import { type BackendTables, TABLE_NAMES, type TableEntry, tableFlags } from "./backend-tables.ts";
import type { GatewayPlan, PlannedBackend } from "./gateway-plan.ts";

/** A server as HAProxy reports it. */
export interface ActualServer {
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly state: "ready" | "drain" | "maint";
}

/** What HAProxy holds: servers by `backend/server`, routes by deployment, tables by name. */
export interface ActualState {
  readonly servers: ReadonlyMap<string, ActualServer>;
  readonly routes: ReadonlyMap<string, string>;
  readonly tables: ReadonlyMap<string, readonly TableEntry[]>;
}

/** Where maps are, and the versions that were prepared for those to be replaced. */
export interface MapTargets {
  readonly routes: string;
  readonly tableFile: (name: string) => string;
  readonly versions: ReadonlyMap<string, number>;
}

/** Name of a server slot, e.g. "s0/e1". */
export function slotName(backend: number, slot: number): string {
  return `s${backend}/e${slot}`;
}

/** Name of a backend's table, e.g. "s0.choices". */
export function tableName(backend: number, table: keyof BackendTables): string {
  return `s${backend}.${table}`;
}

/** Every table of a plan by name. */
export function plannedTables(plan: GatewayPlan): Map<string, readonly TableEntry[]> {
  const tables = plan.backends.flatMap((backend, index) =>
    TABLE_NAMES.map((table) => [tableName(index, table), backend.tables[table]] as const),
  );
  return new Map(tables);
}

/** Value of the route map for every deployment: backend, epoch and, when there are tables, flags: "s0:17", "s0:17:c". */
export function plannedRoutes(plan: GatewayPlan): Map<string, string> {
  const routes = new Map<string, string>();
  for (const [index, { split, tables }] of plan.backends.entries()) {
    if (split === undefined) continue;
    const flags = tableFlags(tables);
    routes.set(split.deployment, `s${index}:${split.epoch}${flags && `:${flags}`}`);
  }
  return routes;
}

/** Names of tables that differ from the plan's. */
export function staleTables(actual: ActualState, plan: GatewayPlan): string[] {
  return [...plannedTables(plan)]
    .filter(([name, entries]) => !isSameTable(actual.tables.get(name) ?? [], entries))
    .map(([name]) => name);
}

/**
 * Commands that turn what HAProxy holds into the plan, none when it matches. Every table is replaced at once, by one
 * command. A deployment's route appears after its servers and disappears before them, so no request in between finds
 * nothing to serve it; and weights, by which HAProxy balances where no table chooses, are never such that a revision
 * gets requests that it has no share in.
 */
export function planCommands(actual: ActualState, plan: GatewayPlan, targets: MapTargets): string[] {
  const before: string[] = [];
  const after: string[] = [];
  for (const [index, backend] of plan.backends.entries()) {
    const weights = weightCommands(index, backend, actual);
    const chooses = backend.tables.choices.length > 0;
    before.push(...bringUpCommands(index, backend, actual), ...(chooses ? [] : weights));
    after.push(...(chooses ? weights : []), ...drainCommands(index, backend, actual));
  }
  const routes = plannedRoutes(plan);
  const { routes: file } = targets;
  const withdrawn = [...actual.routes.keys()].filter((key) => !routes.has(key)).map((key) => `del map ${file} ${key}`);
  const changed = [...routes]
    .filter(([key, value]) => actual.routes.get(key) !== value)
    .map(([key, value]) => `${actual.routes.has(key) ? "set" : "add"} map ${file} ${key} ${value}`);
  const { filled, cleared } = tableCommands(actual, plan, targets);
  return [...withdrawn, ...before, ...filled, ...changed, ...cleared, ...after];
}

/** Tables are filled before routes lead to them, and cleared when none does any more. */
function tableCommands(actual: ActualState, plan: GatewayPlan, { tableFile, versions }: MapTargets) {
  const tables = plannedTables(plan);
  const filled: string[] = [];
  const cleared: string[] = [];
  for (const name of staleTables(actual, plan)) {
    const entries = tables.get(name) ?? [];
    const file = tableFile(name);
    const version = versions.get(name);
    if (version === undefined) throw new TypeError(`table ${name} was not prepared`);
    const additions = entries.map(([key, value]) => `add map @${version} ${file} ${quoted(key)} ${quoted(value)}`);
    (entries.length === 0 ? cleared : filled).push(...additions, `commit map @${version} ${file}`);
  }
  return { filled, cleared };
}

/** Addresses and states of servers in use. One that was out of use comes back without weight. */
function bringUpCommands(index: number, { servers }: PlannedBackend, actual: ActualState): string[] {
  return servers.flatMap((planned, slot) => {
    if (planned === undefined || planned.draining) return [];
    const name = slotName(index, slot);
    const found = actual.servers.get(name);
    const isMoved = found?.host !== planned.host || found.port !== planned.port;
    const address = isMoved ? [`set server ${name} addr ${planned.host} port ${planned.port}`] : [];
    if (found?.state === "ready") return address;
    return [...address, `set server ${name} weight 0`, `set server ${name} state ready`];
  });
}

/** Some server gains weight before others lose theirs. */
function weightCommands(index: number, { servers }: PlannedBackend, actual: ActualState): string[] {
  const changes = servers.flatMap((planned, slot) => {
    if (planned === undefined || planned.draining) return [];
    const name = slotName(index, slot);
    const found = actual.servers.get(name);
    const before = found?.state === "ready" ? found.weight : 0;
    return before === planned.weight ? [] : [{ name, before, weight: planned.weight }];
  });
  return changes
    .sort((a, b) => b.weight - b.before - (a.weight - a.before))
    .map(({ name, weight }) => `set server ${name} weight ${weight}`);
}

function drainCommands(index: number, { servers }: PlannedBackend, actual: ActualState): string[] {
  return servers.flatMap((planned, slot) => {
    const name = slotName(index, slot);
    return planned?.draining && actual.servers.get(name)?.state === "ready" ? [`set server ${name} state drain`] : [];
  });
}

/** HAProxy's command line takes a backslash as the beginning of an escape. */
function quoted(text: string): string {
  return text.replaceAll("\\", "\\\\");
}

function isSameTable(a: readonly TableEntry[], b: readonly TableEntry[]): boolean {
  return a.length === b.length && a.every(([key, value], i) => key === b[i]?.[0] && value === b[i]?.[1]);
}
