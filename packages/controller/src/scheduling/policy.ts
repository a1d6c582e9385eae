import { create } from "@bufbuild/protobuf";
import { type SchedulingPolicy, SchedulingPolicySchema } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** Key of the one policy there is. */
export const POLICY_KEY = "scheduling";

/** The stored policy, or one that leaves everything at its default. */
export function schedulingPolicy(stores: Stores): SchedulingPolicy {
  return stores.policies.get(POLICY_KEY)?.value ?? create(SchedulingPolicySchema);
}
