import { create } from "@bufbuild/protobuf";
import { isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import {
  type PlanDemandRequest,
  type SchedulingPolicy,
  SchedulingPolicySchema,
  type SchedulingService,
} from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import type { Rebalancer } from "../deployments/rebalance.ts";
import { explainJob } from "../scheduling/explain-job.ts";
import { planDemand } from "../scheduling/plan-demand.ts";
import { POLICY_KEY, schedulingPolicy } from "../scheduling/policy.ts";
import { queueEntry } from "../scheduling/queue-entry.ts";
import type { Scheduling } from "../scheduling/scheduling.ts";
import { assertPolicy } from "../scheduling/validate-policy.ts";
import type { Stores } from "../stores.ts";
import { pageOf } from "./paging.ts";
import { findJob, findRun } from "./run-service.ts";

/** What the scheduling service works with. */
export interface SchedulingServiceOptions {
  readonly stores: Stores;
  readonly scheduling: Scheduling;
  readonly rebalancer: Rebalancer;
  readonly clock: Clock;
}

const MAX_COPIES = 1_000;
const MAX_PRIORITY = 100;
const MAX_MOVES = 100;
const DEFAULT_MOVES = 5;
const MAX_RACES = 20;
/** Positions as keys that sort as text. */
const POSITION_DIGITS = 10;

/** SchedulingService: who waits, why, for how long, and by which policy. */
export function createSchedulingService(
  options: SchedulingServiceOptions,
): ServiceImplementation<typeof SchedulingService> {
  const { stores, scheduling, rebalancer, clock } = options;
  return {
    getSchedulingPolicy: async () => ({ policy: schedulingPolicy(stores) }),
    setSchedulingPolicy: async ({ policy = create(SchedulingPolicySchema) }) => {
      assertPolicy(policy);
      return { policy: await storePolicy(stores, policy) };
    },
    listQueue: async (request) => {
      const wanted = scheduling.queue.filter(({ job }) => request.team === "" || job.team === request.team);
      const page = pageOf(wanted, ({ position }) => String(position).padStart(POSITION_DIGITS, "0"), request);
      const entries = page.items.flatMap((waiting) => {
        const run = stores.runs.get(waiting.job.name.split("/", 1)[0] ?? "")?.value;
        return queueEntry(waiting, run, scheduling) ?? [];
      });
      return { entries, nextPageToken: page.nextPageToken };
    },
    listTeams: async () => ({ teams: [...scheduling.teams(clock.now())] }),
    explainJob: async (request) => {
      const run = findRun(stores, request.runId).value;
      return explainJob(run, findJob(run, request.job), scheduling);
    },
    planDemand: async (request) => {
      assertPlan(request);
      return { placements: planDemand(request, scheduling) };
    },
    rebalance: async ({ maxMoves, apply }) => {
      if (maxMoves > MAX_MOVES) {
        const message = `max_moves must be at most ${MAX_MOVES}, not ${maxMoves}`;
        throw new KedgeError("INVALID_FIELD", message, { field: "max_moves" });
      }
      const plan = rebalancer.plan(maxMoves || DEFAULT_MOVES);
      return apply ? { ...plan, moves: await rebalancer.apply(plan.moves) } : plan;
    },
  };
}

async function storePolicy(stores: Stores, policy: SchedulingPolicy): Promise<SchedulingPolicy> {
  for (let attempt = 1; ; attempt++) {
    const stored = stores.policies.get(POLICY_KEY);
    try {
      if (stored === undefined) return (await stores.policies.create(POLICY_KEY, policy)).value;
      return (await stores.policies.update(POLICY_KEY, policy, stored.revision)).value;
    } catch (error) {
      // The policy is set as a whole: whoever is last wins.
      if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
    }
  }
}

function assertPlan({ count, priority, resources }: PlanDemandRequest): void {
  if (count > MAX_COPIES) {
    throw new KedgeError("INVALID_FIELD", `count must be at most ${MAX_COPIES}, not ${count}`, { field: "count" });
  }
  if (Math.abs(priority) > MAX_PRIORITY) {
    const message = `priority must lie between -${MAX_PRIORITY} and ${MAX_PRIORITY}, not ${priority}`;
    throw new KedgeError("INVALID_FIELD", message, { field: "priority" });
  }
  const { gpu } = resources ?? {};
  if (gpu === undefined || gpu.count === 0 || gpu.shareMilli === 0) return;
  const field = "resources.gpu.share_milli";
  throw new KedgeError("INVALID_FIELD", "a demand is for whole devices or for a share of one, not both", { field });
}
