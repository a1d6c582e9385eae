import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import type { Authority } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type Node, type NodeService, Role } from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import { joinText, type TokenRegistry } from "../auth/tokens.ts";
import type { EventRecorder } from "../events/recorder.ts";
import type { HealthKeeper } from "../node-health/health-keeper.ts";
import { release, setAside } from "../node-health/quarantine.ts";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { NodeWriter } from "../nodes/node-writer.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import { sumOf } from "../nodes/reserved-sum.ts";
import type { Stores } from "../stores.ts";
import { changes } from "./change-stream.ts";
import { pageOf } from "./paging.ts";

/** What the node service works with. */
export interface NodeServiceOptions {
  readonly stores: Stores;
  readonly writer: NodeWriter;
  readonly registry: NodeRegistry;
  readonly book: CapacityBook;
  readonly tokens: TokenRegistry;
  readonly authority: Authority;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly health: Pick<HealthKeeper, "health">;
  /** host:port that joining nodes are told. */
  readonly controllerAddress: () => string;
  readonly natsServers: () => readonly string[];
}

const MAX_REASON = 500;
const HOUR_MS = 3_600_000;
const MAX_TTL_MS = 30 * 24 * HOUR_MS;

/** NodeService: join tokens, enrolment, listing, cordon, drain, quarantine, removal. */
export function createNodeService(options: NodeServiceOptions): ServiceImplementation<typeof NodeService> {
  const { stores, writer, registry, book, tokens, authority, events, clock } = options;
  const describe = (node: Node): Node => {
    const shown = registry.describe(node);
    shown.reserved = sumOf(book.cluster.reservationsOn(node.id).map(({ resources }) => resources));
    const health = options.health.health(node.id);
    if (health !== undefined) shown.health = health;
    return shown;
  };
  return {
    createJoinToken: async (request, context) => {
      const ttlMs = request.ttl === undefined ? HOUR_MS : durationMs(request.ttl);
      if (ttlMs <= 0 || ttlMs > MAX_TTL_MS) {
        throw new KedgeError("INVALID_FIELD", "ttl must be more than 0 and at most 30 days", { field: "ttl" });
      }
      const made = await tokens.create({
        name: "join",
        role: Role.UNSPECIFIED,
        createdBy: context.principal.name,
        ttlMs,
        join: { uses: request.uses || 1, labels: request.labels },
      });
      const token = joinText(made, options.controllerAddress(), authority.caFingerprint);
      return { token, ...(made.info.expiresAt === undefined ? {} : { expiresAt: made.info.expiresAt }) };
    },
    enroll: async (request) => {
      const { node, jwt } = await writer.enroll(request);
      return {
        nodeId: node.id,
        natsJwt: jwt,
        natsServers: [...options.natsServers()],
        caPem: authority.caPem,
        controllerKey: authority.signer.publicKey,
        labels: node.labels,
      };
    },
    getNode: async (request) => ({ node: describe(writer.find(request.nodeId)) }),
    listNodes: async (request) => {
      const selector = Object.entries(request.labelSelector);
      const all = [...stores.nodes.entries()].map(([, { value }]) => value);
      const wanted = all.filter((node) => selector.every(([key, value]) => node.labels[key] === value));
      const page = pageOf(
        wanted.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        (node) => node.id,
        request,
      );
      return { nodes: page.items.map(describe), nextPageToken: page.nextPageToken };
    },
    watchNodes: async function* (_request, context) {
      const dirty = new Set([...stores.nodes.entries()].map(([key]) => key));
      const subscribe = (notify: () => void) => {
        const mark = (key: string) => {
          dirty.add(key);
          notify();
        };
        const unsubscribe = stores.nodes.onChange(mark);
        const forget = registry.onHeartbeat(mark);
        return () => {
          unsubscribe();
          forget();
        };
      };
      for await (const _ of changes(subscribe, context.signal)) {
        const keys = [...dirty];
        dirty.clear();
        for (const key of keys) {
          const node = stores.nodes.get(key)?.value;
          yield node === undefined ? { node: { id: key }, removed: true } : { node: describe(node) };
        }
      }
    },
    cordonNode: async ({ nodeId }) => ({
      node: describe(
        await writer.edit(nodeId, (node) => {
          node.cordoned = true;
        }),
      ),
    }),
    uncordonNode: async ({ nodeId }) => ({
      node: describe(
        await writer.edit(nodeId, (node) => {
          node.cordoned = false;
          node.draining = false;
        }),
      ),
    }),
    drainNode: async ({ nodeId }) => ({
      node: describe(
        await writer.edit(nodeId, (node) => {
          node.cordoned = true;
          node.draining = true;
        }),
      ),
    }),
    quarantineNode: async ({ nodeId, reason, duration, endTasks }, context) => {
      assertReason(reason);
      const durationMs = lengthOf(duration);
      const order = { reason, by: context.principal.name, nowMs: clock.now(), durationMs, strikes: 1, endTasks };
      const node = await writer.edit(nodeId, (draft) => setAside(draft, order));
      const message = `by ${order.by}: ${reason}`;
      events.record({ kind: "node", name: nodeId, reason: "NodeQuarantined", message, warning: true });
      return { node: describe(node) };
    },
    releaseNode: async ({ nodeId }, context) => {
      const node = await writer.edit(nodeId, (draft) => release(draft, clock.now()));
      const message = `by ${context.principal.name}`;
      events.record({ kind: "node", name: nodeId, reason: "NodeReleased", message });
      return { node: describe(node) };
    },
    removeNode: async ({ nodeId }) => {
      await writer.remove(nodeId);
      return {};
    },
  };
}

function assertReason(reason: string): void {
  if (reason.trim() !== "" && reason.length <= MAX_REASON) return;
  throw new KedgeError("INVALID_FIELD", `reason must have 1 to ${MAX_REASON} characters`, {
    field: "reason",
    hint: "say why the node is set aside: people who wait for it read it",
  });
}

function lengthOf(duration: Duration | undefined): number | undefined {
  const ms = duration === undefined ? undefined : durationMs(duration);
  if (ms === undefined || (ms > 0 && ms <= MAX_TTL_MS)) return ms;
  throw new KedgeError("INVALID_FIELD", "duration must be more than 0 and at most 30 days", { field: "duration" });
}
