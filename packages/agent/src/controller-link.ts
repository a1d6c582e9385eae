import { create } from "@bufbuild/protobuf";
import {
  type Bus,
  claimTask,
  connectBus,
  type DocumentBucket,
  getChunk,
  NODE_API_PREFIX,
  nodeInboxPrefix,
  publishDecision,
  publishHeartbeat,
  publishLog,
  publishTaskEvent,
  publishWindow,
  pullOffers,
  renewLease,
  subscribeBeats,
  verifySignedBytes,
  watchDocument,
} from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import {
  type Assignment,
  AssignmentSchema,
  type Flags,
  FlagsSchema,
  type Heartbeat,
  LeaseRenewalSchema,
  type LocalDecision,
  type LogChunk,
  type ModelManifest,
  ModelManifestSchema,
  type Route,
  RouteSchema,
  type TaskEvent,
  type TaskRef,
  type TaskRefFull,
  type Window,
} from "@kedge/proto";
import type { NodeIdentity } from "./identity/node-identity.ts";
import { allowCompiling } from "./node/compiling.ts";
import type { OfferDelivery, TaskBus } from "./tasks/task-executor.ts";

/** What a ControllerLink works with. */
export interface ControllerLinkOptions {
  readonly identity: NodeIdentity;
  readonly seed: Uint8Array;
  readonly bootId: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The node's way to its controller. It connects in the background, so the agent works before and without a connection:
 * until there is one, requests fail with BUS_UNAVAILABLE and watches wait.
 */
export class ControllerLink implements TaskBus {
  readonly #options: ControllerLinkOptions;
  readonly #abort = new AbortController();
  readonly #connecting: Promise<Bus | undefined>;
  #bus: Bus | undefined;

  constructor(options: ControllerLinkOptions) {
    this.#options = options;
    this.#connecting = this.#connect();
  }

  get isConnected(): boolean {
    return this.#bus?.connected ?? false;
  }

  /** Calls back whenever the connection is there (again); ends with the link. */
  onConnected(callback: () => void): void {
    void this.#connecting.then((bus) => {
      if (bus === undefined) return;
      bus.onStatus((status) => {
        if (status === "connected") callback();
      });
      callback();
    });
  }

  /** Calls back whenever the controller says that it is there; ends with the link. */
  onBeat(callback: () => void): void {
    void this.#connecting.then((bus) => {
      if (bus !== undefined) subscribeBeats(bus, callback);
    });
  }

  /** Offers for this node that the controller signed; ends when the signal aborts. */
  async *offers(signal: AbortSignal): AsyncIterable<OfferDelivery> {
    const bus = await this.#connecting;
    const { nodeId, controllerKey } = this.#options.identity;
    if (bus === undefined) return;
    for await (const pulled of pullOffers(bus, { nodeId, controllerKey }, signal)) {
      allowCompiling();
      yield pulled;
    }
  }

  /** @see claimTask of the bus */
  claim(ref: TaskRefFull, bootId: string): Promise<"claimed" | "lost"> {
    return this.#withBus((bus) => claimTask(bus, ref, bootId));
  }

  publishEvent(event: TaskEvent): Promise<void> {
    return this.#withBus((bus) => publishTaskEvent(bus, event));
  }

  publishLog(chunk: LogChunk): Promise<void> {
    return this.#withBus((bus) => publishLog(bus, chunk));
  }

  renewLease(tasks: readonly Pick<TaskRef, "taskId" | "fence">[]): Promise<void> {
    const { identity, bootId } = this.#options;
    const renewal = create(LeaseRenewalSchema, { nodeId: identity.nodeId, bootId, tasks: [...tasks] });
    return this.#withBus((bus) => renewLease(bus, renewal));
  }

  /** @see publishDecision of the bus */
  publishDecision(decision: LocalDecision): Promise<void> {
    return this.#withBus((bus) => publishDecision(bus, decision));
  }

  /** Dropped when not connected. */
  heartbeat(heartbeat: Heartbeat): void {
    if (this.#bus !== undefined) publishHeartbeat(this.#bus, heartbeat);
  }

  /** Dropped when not connected. */
  window(window: Window): void {
    if (this.#bus !== undefined) publishWindow(this.#bus, window);
  }

  getChunk(sha256: string): Promise<Uint8Array> {
    return this.#withBus((bus) => getChunk(bus, sha256));
  }

  /** Opens a manifest that the controller signed for every node. */
  openManifest(bytes: Uint8Array): ModelManifest {
    return verifySignedBytes(ModelManifestSchema, bytes, { key: this.#options.identity.controllerKey, audience: "*" });
  }

  /** Follows this node's assignment; the result ends the watch. */
  watchAssignment(onChange: (assignment: Assignment) => void): () => void {
    const { nodeId } = this.#options.identity;
    const none = create(AssignmentSchema, { nodeId });
    const watch = { bucket: "assignments", key: nodeId, schema: AssignmentSchema, audience: nodeId } as const;
    return this.#watch(watch, (assignment) => onChange(assignment ?? none));
  }

  /** Follows a deployment's route, undefined when it was removed; the result ends the watch. */
  watchRoute(deployment: string, onChange: (route: Route | undefined) => void): () => void {
    return this.#watch({ bucket: "routes", key: deployment, schema: RouteSchema, audience: "*" }, onChange);
  }

  /** Follows all feature flags; the result ends the watch. */
  watchFlags(onChange: (flags: Flags) => void): () => void {
    return this.#watch({ bucket: "flags", key: "all", schema: FlagsSchema, audience: "*" }, (flags) => {
      // They are never taken away; somebody who could do that would only make programs forget them.
      if (flags !== undefined) onChange(flags);
    });
  }

  /** Closes the connection. May be called twice. */
  async close(): Promise<void> {
    this.#abort.abort();
    await (await this.#connecting)?.close();
  }

  #watch<D extends typeof AssignmentSchema | typeof RouteSchema | typeof FlagsSchema>(
    options: { bucket: DocumentBucket; key: string; schema: D; audience: string },
    onChange: (value: Parameters<Parameters<typeof watchDocument<D>>[2]>[0]["value"]) => void,
  ): () => void {
    let isOver = false;
    let close = (): void => {};
    const { bucket, key, schema, audience } = options;
    const verify = { key: this.#options.identity.controllerKey, audience };
    void this.#connecting.then((bus) => {
      if (bus === undefined || isOver) return;
      const watch = watchDocument(bus, { bucket, key, schema, verify }, ({ value, revision }) => {
        // A store that never had the document says nothing about what this node should stop doing.
        if (revision > 0) onChange(value);
      });
      close = () => watch.close();
    });
    return () => {
      isOver = true;
      close();
    };
  }

  #withBus<T>(use: (bus: Bus) => Promise<T>): Promise<T> {
    if (this.#bus !== undefined) return use(this.#bus);
    return Promise.reject(new KedgeError("BUS_UNAVAILABLE", "not connected to NATS yet"));
  }

  async #connect(): Promise<Bus | undefined> {
    const { identity, seed, clock, logger } = this.#options;
    const { nodeId, natsServers: servers, caPem, natsJwt: jwt } = identity;
    const names = { name: nodeId, inboxPrefix: nodeInboxPrefix(nodeId), apiPrefix: NODE_API_PREFIX };
    try {
      this.#bus = await connectBus({ ...names, servers, caPem, jwt, seed, clock, logger }, this.#abort.signal);
    } catch (error) {
      if (!this.#abort.signal.aborted) logger.error({ err: error }, "connecting to NATS was given up");
    }
    return this.#bus;
  }
}
