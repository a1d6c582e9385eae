import { create } from "@bufbuild/protobuf";
import { isKedgeError } from "@kedge/domain";
import { secureBytes } from "@kedge/kernel";
import { type AlertPolicy, AlertPolicySchema, StoredAlertPolicySchema } from "@kedge/proto";
import type { Stores } from "../stores.ts";

const KEY = "alerts";
const LINK_KEY_BYTES = 32;
const MAX_RACES = 20;

/** The policy with its secrets, or one that tells nobody. Do not change it, and do not answer with it. */
export function alertPolicy(stores: Pick<Stores, "alertPolicy">): AlertPolicy {
  return stores.alertPolicy.get(KEY)?.value.policy ?? create(AlertPolicySchema);
}

/** The key of links to graphs; absent until there is a policy. */
export function linkKey(stores: Stores): Uint8Array | undefined {
  return stores.alertPolicy.get(KEY)?.value.linkKey;
}

/**
 * Stores what `change` makes of the policy as it is; it is called again when somebody else was faster.
 *
 * @throws what `change` throws; KedgeError TOO_LARGE, BUS_UNAVAILABLE.
 */
export async function changeAlertPolicy(
  stores: Stores,
  change: (policy: AlertPolicy) => AlertPolicy,
): Promise<AlertPolicy> {
  for (let attempt = 1; ; attempt++) {
    const stored = stores.alertPolicy.get(KEY);
    const policy = change(stored?.value.policy ?? create(AlertPolicySchema));
    const key = stored?.value.linkKey ?? secureBytes(LINK_KEY_BYTES);
    const document = create(StoredAlertPolicySchema, { policy, linkKey: key });
    try {
      if (stored === undefined) await stores.alertPolicy.create(KEY, document);
      else await stores.alertPolicy.update(KEY, document, stored.revision);
      return policy;
    } catch (error) {
      if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
    }
  }
}
