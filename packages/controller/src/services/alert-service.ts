import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { KedgeError, nearNames } from "@kedge/domain";
import { type Clock, newId } from "@kedge/kernel";
import {
  type AlertDelivery,
  AlertMatcherSchema,
  AlertPolicySchema,
  type AlertReceiver,
  type AlertService,
  type AlertSilence,
  AlertSilenceSchema,
  type ListDeliveriesRequest,
  type SilenceRequest,
} from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import { endMs } from "../alerts/matching.ts";
import { redacted, withKeptSecrets } from "../alerts/redaction.ts";
import { alertPolicy, changeAlertPolicy } from "../alerts/stored-policy.ts";
import { testReceiver } from "../alerts/test-receiver.ts";
import { assertAlertPolicy, assertMatcher } from "../alerts/validate-policy.ts";
import type { Stores } from "../stores.ts";
import { pageOf } from "./paging.ts";

/** What the alert service works with. */
export interface AlertServiceOptions {
  readonly stores: Stores;
  readonly clock: Clock;
  /** host:port of the controller's HTTP server. */
  readonly httpAddress: () => string;
}

const MAX_SILENCES = 200;
const MAX_SILENCE_MS = 366 * 86_400_000;
const MAX_COMMENT = 500;

/** AlertService: who is told of incidents. No answer holds a secret. */
export function createAlertService(options: AlertServiceOptions): ServiceImplementation<typeof AlertService> {
  const { stores, clock } = options;
  return {
    getAlertPolicy: async () => ({ policy: redacted(alertPolicy(stores)) }),
    setAlertPolicy: async ({ policy = create(AlertPolicySchema) }) => {
      assertAlertPolicy(policy);
      const updatedAt = timestampFromMs(clock.now());
      const stored = await changeAlertPolicy(stores, (before) => ({
        ...withKeptSecrets(policy, before),
        silences: before.silences,
        updatedAt,
      }));
      return { policy: redacted(stored) };
    },
    testReceiver: async ({ receiver }) => testReceiver(findReceiver(stores, receiver), options),
    listDeliveries: async (request) => {
      const wanted = [...stores.alerts.entries()]
        .map(([, { value }]) => value)
        .filter((delivery) => isWanted(delivery, request))
        .toSorted((a, b) => (keyOf(a) < keyOf(b) ? 1 : -1));
      const page = pageOf(wanted, keyOf, { ...request, descending: true });
      return { deliveries: page.items, nextPageToken: page.nextPageToken };
    },
    silence: async (request, context) => {
      const silence = newSilence(request, context.principal.name, clock);
      await changeAlertPolicy(stores, (policy) => {
        const silences = policy.silences.filter((one) => endMs(one) > clock.now());
        if (silences.length < MAX_SILENCES) return { ...policy, silences: [...silences, silence] };
        throw new KedgeError("QUEUE_FULL", `there are ${MAX_SILENCES} silences already`, { hint: "End some of them." });
      });
      return { silence };
    },
    unsilence: async ({ id }) => {
      await changeAlertPolicy(stores, (policy) => {
        const silences = policy.silences.filter((one) => one.id !== id);
        if (silences.length < policy.silences.length) return { ...policy, silences };
        const message = `no silence has the id ${JSON.stringify(id.slice(0, 80))}`;
        throw new KedgeError("SILENCE_NOT_FOUND", message, { field: "id" });
      });
      return {};
    },
  };
}

const keyOf = ({ incidentId, receiver }: AlertDelivery): string => `${incidentId}.${receiver}`;

function isWanted(delivery: AlertDelivery, { incidentId, receiver, state }: ListDeliveriesRequest): boolean {
  return (
    (incidentId === "" || delivery.incidentId === incidentId) &&
    (receiver === "" || delivery.receiver === receiver) &&
    (state === 0 || delivery.state === state)
  );
}

function findReceiver(stores: Stores, name: string): AlertReceiver {
  const { receivers } = alertPolicy(stores);
  const found = receivers.find((receiver) => receiver.name === name);
  if (found !== undefined) return found;
  const near = nearNames(
    name,
    receivers.map((receiver) => receiver.name),
  );
  throw new KedgeError("RECEIVER_NOT_FOUND", `no receiver is called ${JSON.stringify(name.slice(0, 80))}`, {
    field: "receiver",
    ...(near.length > 0 ? { hint: `did you mean ${near.join(" or ")}?` } : {}),
  });
}

function newSilence({ match, endsAt, comment }: SilenceRequest, createdBy: string, clock: Clock): AlertSilence {
  const matcher = match ?? create(AlertMatcherSchema);
  assertMatcher(matcher, "match");
  const leftMs = endsAt === undefined ? 0 : timestampMs(endsAt) - clock.now();
  if (endsAt === undefined || leftMs <= 0 || leftMs > MAX_SILENCE_MS) {
    throw new KedgeError("INVALID_FIELD", "ends_at must lie in the future, at most a year ahead", { field: "ends_at" });
  }
  if (comment.trim() === "" || comment.length > MAX_COMMENT) {
    const message = `comment must say why, in 1 to ${MAX_COMMENT} characters`;
    throw new KedgeError("INVALID_FIELD", message, { field: "comment" });
  }
  const createdAt = timestampFromMs(clock.now());
  return create(AlertSilenceSchema, { id: newId(clock), match: matcher, endsAt, createdBy, createdAt, comment });
}
