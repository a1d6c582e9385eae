import type { Capacity, GpuDevice, Heartbeat, ReplicaStatus } from "@kedge/proto";

/**
 * Tells whether a heartbeat says something about the node itself that the last one did not. Thousands come a second, so
 * fields are compared one by one.
 */
export function needsNodeLook(previous: Heartbeat | undefined, heartbeat: Heartbeat): boolean {
  return (
    previous?.bootId !== heartbeat.bootId ||
    previous.agentVersion !== heartbeat.agentVersion ||
    previous.gatewayAddress !== heartbeat.gatewayAddress ||
    !isSameList(previous.runtimes, heartbeat.runtimes) ||
    !isSameList(previous.cachedImages, heartbeat.cachedImages) ||
    !isSameList(previous.cachedModels, heartbeat.cachedModels) ||
    !isSameRecord(previous.imageBytes, heartbeat.imageBytes) ||
    !isSameCapacity(previous.capacity, heartbeat.capacity)
  );
}

/** Deployments whose replicas or routes on the node changed between two heartbeats. */
export function changedDeployments(previous: Heartbeat | undefined, heartbeat: Heartbeat): ReadonlySet<string> {
  if (previous !== undefined && isSameServing(previous, heartbeat)) return NONE;
  const facts = (beat: Heartbeat | undefined): Map<string, string> => {
    const byDeployment = new Map<string, string>();
    const add = (name: string, fact: string) => byDeployment.set(name, `${byDeployment.get(name) ?? ""}|${fact}`);
    for (const { deployment, replicaId, state, restarts } of beat?.replicas ?? []) {
      add(deployment, `${replicaId}:${state}:${restarts}`);
    }
    for (const route of beat?.routes ?? []) add(route.deployment, `@${route.generation}`);
    return byDeployment;
  };
  const [before, after] = [facts(previous), facts(heartbeat)];
  const names = new Set([...before.keys(), ...after.keys()]);
  return new Set([...names].filter((name) => before.get(name) !== after.get(name)));
}

const NONE: ReadonlySet<string> = new Set();

function isSameServing(a: Heartbeat, b: Heartbeat): boolean {
  return (
    isSameBy(a.replicas, b.replicas, isSameReplica) &&
    isSameBy(a.routes, b.routes, (x, y) => x.deployment === y.deployment && x.generation === y.generation)
  );
}

function isSameReplica(a: ReplicaStatus, b: ReplicaStatus): boolean {
  return a.replicaId === b.replicaId && a.state === b.state && a.restarts === b.restarts;
}

function isSameCapacity(a: Capacity | undefined, b: Capacity | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.cpuMilli === b.cpuMilli &&
    a.memoryMib === b.memoryMib &&
    a.diskMib === b.diskMib &&
    a.costPerHour === b.costPerHour &&
    isSameBy(a.gpus, b.gpus, isSameDevice) &&
    isSameRecord(a.custom, b.custom)
  );
}

function isSameDevice(a: GpuDevice, b: GpuDevice): boolean {
  return (
    a.index === b.index &&
    a.uuid === b.uuid &&
    a.model === b.model &&
    a.memoryMib === b.memoryMib &&
    a.driverVersion === b.driverVersion
  );
}

function isSameBy<T>(a: readonly T[], b: readonly T[], isSame: (x: T, y: T) => boolean): boolean {
  return a.length === b.length && a.every((item, i) => isSame(item, b[i] as T));
}

const isSameList = <T>(a: readonly T[], b: readonly T[]): boolean => isSameBy(a, b, (x, y) => x === y);

function isSameRecord<T>(a: Readonly<Record<string, T>>, b: Readonly<Record<string, T>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
