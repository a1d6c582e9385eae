import { create, equals } from "@bufbuild/protobuf";
import { isKedgeError } from "@kedge/domain";
import { type Route, RouteSchema } from "@kedge/proto";
import type { RouteBrief, RoutePlan } from "@kedge/rollout";
import type { Stores } from "../stores.ts";

const MAX_RACES = 20;

/** Writes routes: one put reaches every node that serves the deployment. */
export class RouteWriter {
  readonly #stores: Stores;

  constructor(stores: Stores) {
    this.#stores = stores;
  }

  /** The route document in force; undefined before the first. */
  current(deployment: string): Route | undefined {
    return this.#stores.routes.get(deployment)?.value;
  }

  /** Makes the plan the deployment's route unless it is already; the reason alone is no change. */
  async put(deployment: string, plan: RoutePlan & RouteBrief): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = this.#stores.routes.get(deployment);
      const generation = (stored?.value.generation ?? 0n) + 1n;
      const next = create(RouteSchema, { ...plan, deployment, generation });
      if (stored !== undefined && sameRoute(stored.value, next)) return;
      try {
        if (stored) await this.#stores.routes.update(deployment, next, stored.revision);
        else await this.#stores.routes.create(deployment, next);
        return;
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  /** Takes the route away. */
  async remove(deployment: string): Promise<void> {
    const stored = this.#stores.routes.get(deployment);
    if (stored) await this.#stores.routes.delete(deployment, stored.revision);
  }
}

function sameRoute(a: Route, b: Route): boolean {
  return equals(RouteSchema, { ...a, generation: 0n, reason: "" }, { ...b, generation: 0n, reason: "" });
}
