import type { Heartbeat } from "@kedge/proto";

/** Tells whether a heartbeat says something about the node itself that the last one did not. */
export function needsNodeLook(previous: Heartbeat | undefined, heartbeat: Heartbeat): boolean {
  return (
    previous?.bootId !== heartbeat.bootId ||
    previous.gatewayAddress !== heartbeat.gatewayAddress ||
    previous.cachedImages.length !== heartbeat.cachedImages.length ||
    previous.cachedModels.length !== heartbeat.cachedModels.length
  );
}

/** Deployments whose replicas or routes on the node changed between two heartbeats. */
export function changedDeployments(previous: Heartbeat | undefined, heartbeat: Heartbeat): Set<string> {
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
