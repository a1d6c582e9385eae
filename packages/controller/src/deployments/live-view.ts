import { clone } from "@bufbuild/protobuf";
import type { Clock } from "@kedge/kernel";
import { type Deployment, DeploymentSchema, type Route } from "@kedge/proto";
import { rolloutOutlook } from "@kedge/rollout";
import type { Stores } from "../stores.ts";
import { observeReplicas, routeInForce } from "./observation.ts";
import type { WorldContext } from "./replica-plan.ts";

/** What the live part of a deployment is made of. */
export interface LiveViewOptions extends WorldContext {
  readonly stores: Pick<Stores, "routes">;
  readonly clock: Clock;
}

/** A copy of a stored deployment with what is known of it just now: its route, its replicas, what its rollout waits for. */
export function liveDeployment(stored: Deployment, options: LiveViewOptions): Deployment {
  const shown = clone(DeploymentSchema, stored);
  const route = options.stores.routes.get(stored.name)?.value;
  if (route) shown.route = route;
  shown.replicas = [...options.registry.replicas(stored.name)].map(({ replica }) => replica);
  addOutlook(shown, route, options);
  return shown;
}

function addOutlook(shown: Deployment, route: Route | undefined, options: LiveViewOptions): void {
  if (shown.rollout === undefined) return;
  const inForce = routeInForce(shown.name, route, options);
  const world = observeReplicas(shown, options);
  const observation = { ...world, ...(inForce === undefined ? {} : { routeInForce: inForce }) };
  shown.outlook = rolloutOutlook(shown.rollout, observation, options.clock.now());
}
