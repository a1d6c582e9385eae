import { clone, create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import {
  type HookDelivery,
  HookDeliverySchema,
  HookDeliveryState,
  type Repository,
  RepositorySchema,
  type RepositoryService,
} from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import type { EventRecorder } from "../events/recorder.ts";
import { deliveryKey, redelivered } from "../git/delivery-record.ts";
import type { Polled } from "../git/poller.ts";
import { hookPathOf, stateKey } from "../git/repository-defaults.ts";
import { assertRepository } from "../git/validate-repository.ts";
import type { Stores } from "../stores.ts";
import { lookUp } from "./lookup.ts";
import { pageOf } from "./paging.ts";

/** What the repository service works with. */
export interface RepositoryServiceOptions {
  readonly stores: Stores;
  readonly events: EventRecorder;
  readonly clock: Clock;
  /** Looks for new heads now; undefined: there is no such repository, or nobody leads. */
  readonly poll: (name: string) => Promise<Polled> | undefined;
}

const NOT_FOUND = { reason: "REPOSITORY_NOT_FOUND", noun: "repository", field: "name" } as const;
const MAX_STATUSES = 50;

/** RepositoryService: repositories, and the webhooks that came in from them. */
export function createRepositoryService(
  options: RepositoryServiceOptions,
): ServiceImplementation<typeof RepositoryService> {
  const { stores, events, clock } = options;
  return {
    applyRepository: async (request, context) => {
      if (request.repository === undefined) throw missing("repository");
      const repository = await apply(stores, request.repository, { by: context.principal.name, nowMs: clock.now() });
      return { repository, hookPath: hookPathOf(repository) };
    },
    getRepository: async ({ name }) => {
      const repository = lookUp(stores.repositories, name, NOT_FOUND).value;
      const state = stores.repositoryStates.get(stateKey(name))?.value;
      const statuses = [...stores.commitStatuses.entries()]
        .map(([, { value }]) => value)
        .filter((status) => status.repository === name)
        .toSorted((a, b) => Number((b.wantedAt?.seconds ?? 0n) - (a.wantedAt?.seconds ?? 0n)))
        .slice(0, MAX_STATUSES);
      return { repository, statuses, hookPath: hookPathOf(repository), ...(state === undefined ? {} : { state }) };
    },
    listRepositories: async (request) => {
      const all = [...stores.repositories.entries()].map(([, { value }]) => value);
      const sorted = all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
      const page = pageOf(sorted, ({ name }) => name, request);
      return { repositories: page.items, nextPageToken: page.nextPageToken };
    },
    deleteRepository: async ({ name }, context) => {
      const { revision } = lookUp(stores.repositories, name, NOT_FOUND);
      await stores.repositories.delete(name, revision);
      const message = `deleted by ${context.principal.name}`;
      events.record({ kind: "repository", name, reason: "Deleted", message });
      return {};
    },
    listHookDeliveries: async (request) => {
      const { repository, state } = request;
      if (repository !== "") lookUp(stores.repositories, repository, { ...NOT_FOUND, field: "repository" });
      const wanted = [...stores.deliveries.entries()]
        .map(([, { value }]) => value)
        .filter((it) => repository === "" || it.repository === repository)
        .filter((it) => state === HookDeliveryState.UNSPECIFIED || it.state === state);
      const sorted = wanted.toSorted((a, b) => (orderOf(a) < orderOf(b) ? 1 : -1));
      const bytesOf = (it: HookDelivery): number => toBinary(HookDeliverySchema, it).byteLength;
      const page = pageOf(sorted, orderOf, { ...request, descending: true, bytesOf });
      return { deliveries: page.items, nextPageToken: page.nextPageToken };
    },
    redeliverHook: async ({ repository, id }) => {
      const { value, revision } = findDelivery(stores, repository, id);
      if (value.state === HookDeliveryState.PENDING) return { delivery: value };
      const key = deliveryKey(repository, value.id);
      return { delivery: (await stores.deliveries.update(key, redelivered(value), revision)).value };
    },
    pollRepository: async ({ name }) => {
      lookUp(stores.repositories, name, NOT_FOUND);
      const polled = await options.poll(name);
      if (polled === undefined) throw new KedgeError("NOT_LEADER", "this controller does not hold the lease");
      return { state: polled.state, runIds: [...polled.runIds] };
    },
  };
}

async function apply(
  { repositories }: Stores,
  wanted: Repository,
  { by, nowMs }: { readonly by: string; readonly nowMs: number },
): Promise<Repository> {
  assertRepository(wanted);
  const stored = repositories.get(wanted.name);
  const settings = (it: Repository): string => {
    const { updatedAt: _, ...rest } = clone(RepositorySchema, it);
    const bare = create(RepositorySchema, { ...rest, generation: 0n, updatedBy: "" });
    return Buffer.from(toBinary(RepositorySchema, bare)).toString("base64");
  };
  if (stored !== undefined && settings(stored.value) === settings(wanted)) return stored.value;
  const generation = (stored?.value.generation ?? 0n) + 1n;
  const next = create(RepositorySchema, { ...wanted, generation, updatedAt: timestampFromMs(nowMs), updatedBy: by });
  if (stored === undefined) return (await repositories.create(wanted.name, next)).value;
  return (await repositories.update(wanted.name, next, stored.revision)).value;
}

function findDelivery({ deliveries }: Stores, repository: string, id: string) {
  const prefix = deliveryKey(repository, id);
  const found = [...deliveries.entries()].filter(([key]) => key.startsWith(prefix));
  const [only] = found;
  if (id.length >= 4 && only !== undefined && found.length === 1) return only[1];
  const many = found.length > 1 ? `${found.length} deliveries begin with` : "no delivery begins with";
  throw new KedgeError("DELIVERY_NOT_FOUND", `${many} ${JSON.stringify(id.slice(0, 80))}`, {
    field: "id",
    hint: found.length > 1 ? "give more of the id" : "kedge repo deliveries lists them; give at least 4 digits",
  });
}

/** Sorts by time, and is unique. */
function orderOf({ receivedAt, repository, id }: HookDelivery): string {
  const ms = receivedAt === undefined ? 0 : timestampMs(receivedAt);
  return `${String(ms).padStart(15, "0")}.${repository}.${id}`;
}

function missing(field: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `${field} is missing`, { field });
}
