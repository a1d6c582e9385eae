import type { Clock, Logger } from "@kedge/kernel";
import type { LocalDecision } from "@kedge/proto";
import type { Inbox } from "../inbox.ts";
import type { Stores } from "../stores.ts";
import { checkDecision } from "./check-decision.ts";

/** What decisions are taken with. */
export interface TakeDecisionsOptions {
  readonly stores: Pick<Stores, "assignments" | "deployments" | "routes">;
  /** By deployment. */
  readonly decisions: Inbox<LocalDecision>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Has a deployment looked at. */
  readonly touch: (deployment: string) => void;
}

/**
 * Takes what nodes say they decided alone. Resolves once all of it is on record, or known not to belong there.
 *
 * @throws KedgeError CANCELLED when the inbox is cleared before that.
 */
export async function takeDecisions(all: readonly LocalDecision[], options: TakeDecisionsOptions): Promise<void> {
  const { stores, decisions, clock, logger, touch } = options;
  const stored = all.map((decision) => {
    const { nodeId, deployment: name, rolloutId } = decision;
    const checked = checkDecision(decision, {
      deployment: stores.deployments.get(name)?.value,
      assignment: stores.assignments.get(nodeId)?.value,
      routeGeneration: stores.routes.get(name)?.value.generation ?? 0n,
      nowMs: clock.now(),
    });
    if (checked.kind === "refused") {
      const { reason } = checked;
      logger.warn({ nodeId, deployment: name, rolloutId, reason }, "a node's decision is not taken");
      return undefined;
    }
    const done = decisions.put(name, checked.decision);
    touch(name);
    return done;
  });
  await Promise.all(stored);
}
