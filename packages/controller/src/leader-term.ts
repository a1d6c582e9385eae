import { equals } from "@bufbuild/protobuf";
import {
  type Bus,
  consumeDecisions,
  consumeTaskEvents,
  publishBeat,
  subscribeHeartbeats,
  subscribeWindows,
  watchLeases,
} from "@kedge/bus";
import { isRunEnded } from "@kedge/domain";
import { type Clock, type Logger, Reconciler } from "@kedge/kernel";
import {
  type Heartbeat,
  JobState,
  type LocalDecision,
  NodeSchema,
  NodeState,
  type Run,
  type TaskEvent,
  type Window,
} from "@kedge/proto";
import type { AlertTerm } from "./alerts/alert-term.ts";
import type { DeploymentReconciler } from "./deployments/deployment-reconciler.ts";
import type { RolloutJudges } from "./deployments/judges.ts";
import { takeDecisions } from "./deployments/take-decisions.ts";
import type { EventRecorder } from "./events/recorder.ts";
import type { FilesJanitor } from "./files/files-janitor.ts";
import type { FlagPublisher } from "./flags/flag-publisher.ts";
import type { GitTerm } from "./git/git-term.ts";
import type { Polled } from "./git/poller.ts";
import type { Inbox } from "./inbox.ts";
import { collectOldIncidents } from "./incidents/incident-retention.ts";
import type { IncidentWatch } from "./incidents/incident-watch.ts";
import type { ControllerMetrics } from "./metrics.ts";
import type { HealthKeeper } from "./node-health/health-keeper.ts";
import { isQuarantined } from "./node-health/quarantine.ts";
import type { AssignmentWriter } from "./nodes/assignment-writer.ts";
import type { CapacityBook } from "./nodes/capacity-book.ts";
import { changedDeployments, needsNodeLook } from "./nodes/heartbeat-changes.ts";
import type { NodeWriter } from "./nodes/node-writer.ts";
import type { NodeRegistry } from "./nodes/registry.ts";
import { callerId } from "./runs/called-run.ts";
import type { TaskInbox } from "./runs/inbox.ts";
import { collectOldRuns } from "./runs/retention.ts";
import type { RunReconciler } from "./runs/run-reconciler.ts";
import { isTaskOver } from "./runs/task-over.ts";
import { POLICY_KEY } from "./scheduling/policy.ts";
import type { Scheduling } from "./scheduling/scheduling.ts";
import { collectRunSecrets } from "./secrets/run-secrets.ts";
import type { SecretVault } from "./secrets/secret-vault.ts";
import type { Stores } from "./stores.ts";

/** What the loops drive. */
export interface LoopsOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly book: CapacityBook;
  readonly registry: NodeRegistry;
  readonly nodeWriter: NodeWriter;
  readonly assignments: AssignmentWriter;
  readonly runReconciler: RunReconciler;
  readonly deploymentReconciler: DeploymentReconciler;
  readonly judges: RolloutJudges;
  readonly incidents: IncidentWatch;
  /** What tells people of incidents, for one term. */
  readonly newAlertTerm: () => AlertTerm;
  readonly inbox: TaskInbox;
  /** Decisions of nodes, by deployment. */
  readonly decisions: Inbox<LocalDecision>;
  readonly scheduling: Scheduling;
  readonly flags: FlagPublisher;
  readonly health: HealthKeeper;
  readonly vault: SecretVault;
  /** What forgets files of jobs, for one term. */
  readonly newFilesJanitor: () => FilesJanitor;
  /** What repositories start, and what their forges are told, for one term. */
  readonly newGitTerm: () => GitTerm;
  readonly events: EventRecorder;
  readonly metrics: () => ControllerMetrics | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often nodes that fell silent are looked for, and cancels that are over are dropped. */
const NODE_CHECK_MS = 1_000;
const BEAT_MS = 1_000;
/** First heartbeats of a big cluster are stored so many at a time. */
const NODE_WRITES = 16;
/** Events that change nothing for others wait this long for company, so that one write takes several. */
const COALESCE_MS = 15;
const HEALTH_KEY = "health";
const HEALTH_MS = 2_000;
const RETENTION_KEY = "retention";
const RETENTION_MS = 60_000;

/**
 * One term as the leader. Messages and changes put keys into queues, reconcilers work them off. Queues cannot be opened
 * again, so every term has its own.
 */
export class LeaderTerm {
  readonly #options: LoopsOptions;
  readonly #runs: Reconciler;
  readonly #deployments: Reconciler;
  readonly #nodes: Reconciler;
  readonly #incidents: Reconciler;
  readonly #health: Reconciler;
  readonly #janitor: Reconciler;
  readonly #alerts: AlertTerm;
  readonly #git: GitTerm;
  readonly #files: FilesJanitor;
  readonly #flags: Reconciler;
  /** Deployments that runs wait for, by run. */
  readonly #deploying = new Map<string, ReadonlySet<string>>();
  readonly #abort = new AbortController();
  #stops: (() => void)[] = [];
  #stopWatch = (): void => {};
  #stopBeat = (): void => {};
  #streams: Promise<unknown>[] = [];

  constructor(options: LoopsOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.#runs = new Reconciler({ name: "runs", clock, logger, concurrency: 32, reconcile: (key) => this.#run(key) });
    this.#deployments = new Reconciler({
      name: "deployments",
      clock,
      logger,
      concurrency: 8,
      reconcile: (key) => options.deploymentReconciler.reconcile(key),
    });
    this.#nodes = new Reconciler({
      name: "nodes",
      clock,
      logger,
      concurrency: NODE_WRITES,
      reconcile: (key) => this.#node(key),
    });
    this.#incidents = new Reconciler({
      name: "incidents",
      clock,
      logger,
      concurrency: 4,
      reconcile: (key) => options.incidents.reconcile(key),
    });
    this.#flags = new Reconciler({ name: "flags", clock, logger, reconcile: (key) => options.flags.reconcile(key) });
    this.#alerts = options.newAlertTerm();
    this.#files = options.newFilesJanitor();
    this.#git = options.newGitTerm();
    this.#health = new Reconciler({ name: "health", clock, logger, reconcile: () => this.#lookAtHealth() });
    this.#janitor = new Reconciler({
      name: "janitor",
      clock,
      logger,
      reconcile: async () => {
        await collectOldRuns(options.stores, options.clock);
        await collectOldIncidents(options.stores, options.clock);
        await collectRunSecrets(options.stores, options.clock);
        await options.vault.finishRotation();
        return { requeueAfterMs: RETENTION_MS };
      },
    });
  }

  /** Queues a run to be looked at. */
  touchRun(runId: string): void {
    this.#runs.add(runId);
  }

  /** Looks for new heads of a repository's branches now; undefined: there is none. */
  pollRepository(name: string): Promise<Polled> | undefined {
    return this.#git.poll(name);
  }

  queueDepths(): Readonly<Record<string, number>> {
    return {
      ...this.#git.queueDepths(),
      runs: this.#runs.depth,
      deployments: this.#deployments.depth,
      nodes: this.#nodes.depth,
      incidents: this.#incidents.depth,
    };
  }

  /** Starts with everything queued once: whatever happened while nobody looked is found by looking. Call once. */
  async start(): Promise<void> {
    const { bus, stores, book, registry, flags, judges, scheduling, incidents } = this.#options;
    const signal = this.#abort.signal;
    registry.restart();
    judges.restart();
    this.#options.health.restart();
    await new Promise<void>((resolve) => {
      // It also ends when the term does, should NATS be away until then.
      this.#streams.push(watchLeases(bus, (lease) => registry.lease(lease), signal, resolve).finally(resolve));
    });
    if (signal.aborted) return;
    book.load();
    scheduling.start((runId) => this.#runs.add(runId));
    incidents.start((key) => this.#incidents.add(key));
    this.#stops = [
      () => incidents.stop(),
      stores.incidents.onChange((id) => this.#incidentChanged(id)),
      subscribeHeartbeats(bus, (heartbeat) => registry.heartbeat(heartbeat)),
      subscribeWindows(bus, (window) => this.#window(window)),
      registry.onHeartbeat((nodeId, previous) => this.#heartbeat(nodeId, previous)),
      stores.runs.onChange((key) => this.#runChanged(key)),
      stores.policies.onChange((key) => key === POLICY_KEY && scheduling.policyChanged()),
      stores.deployments.onChange((key) => this.#deploymentChanged(key)),
      stores.nodes.onChange((key) => {
        this.#syncNode(key);
        this.#nodes.add(key);
      }),
      stores.assignments.onChange((key) => this.#assignmentChanged(key)),
      flags.onChange((key) => this.#flags.add(key)),
    ];
    const taking = { ...this.#options, touch: (name: string) => this.#deployments.add(name) };
    this.#streams.push(
      consumeTaskEvents(bus, { durable: "controller", onEvents: (events) => this.#taskEvents(events) }, signal),
      consumeDecisions(bus, { durable: "controller", onDecisions: (all) => takeDecisions(all, taking) }, signal),
    );
    for (const [key, { value }] of stores.runs.entries()) if (!isRunEnded(value.state)) this.#runs.add(key);
    for (const [key] of stores.deployments.entries()) this.#deployments.add(key);
    for (const [key] of stores.nodes.entries()) this.#nodes.add(key);
    for (const [key] of stores.assignments.entries()) this.#nodes.add(key);
    for (const key of flags.keys()) this.#flags.add(key);
    this.#janitor.add(RETENTION_KEY);
    this.#health.add(HEALTH_KEY);
    for (const loop of this.#all()) loop.start();
    this.#alerts.start();
    this.#git.start();
    this.#files.start();
    this.#watchStates();
    this.#beat();
  }

  /** Ends the term; may be called while it starts. Task events that no document includes yet stay unacknowledged. */
  async stop(): Promise<void> {
    this.#abort.abort();
    for (const stop of [...this.#stops, this.#stopWatch, this.#stopBeat]) stop();
    this.#stops = [];
    this.#options.scheduling.stop();
    this.#options.inbox.clear();
    this.#options.decisions.clear();
    await Promise.all([...this.#all(), this.#alerts, this.#files, this.#git].map((loop) => loop.stop()));
    await Promise.allSettled(this.#streams);
    this.#streams = [];
  }

  #all(): Reconciler[] {
    return [this.#runs, this.#deployments, this.#nodes, this.#incidents, this.#flags, this.#health, this.#janitor];
  }

  async #run(runId: string) {
    const result = await this.#options.runReconciler.reconcile(runId);
    const deployments = deploymentsOf(this.#options.stores.runs.get(runId)?.value);
    if (deployments.size > 0) this.#deploying.set(runId, deployments);
    else this.#deploying.delete(runId);
    return result;
  }

  #runChanged(runId: string): void {
    const { scheduling, runReconciler, stores, health } = this.#options;
    scheduling.follow(runId);
    const run = stores.runs.get(runId)?.value;
    if (run !== undefined) health.facts.noteRun(run);
    if (run !== undefined && run.calledBy !== "" && isRunEnded(run.state)) this.#runs.add(callerId(run));
    if (!runReconciler.isStoring(runId)) this.#runs.add(runId);
  }

  async #lookAtHealth() {
    for (const deployment of await this.#options.health.look()) this.#deployments.add(deployment);
    return { requeueAfterMs: HEALTH_MS };
  }

  async #node(nodeId: string) {
    const { nodeWriter, assignments, stores, registry } = this.#options;
    await nodeWriter.refresh(nodeId);
    this.#syncNode(nodeId);
    const cancelled = stores.assignments.get(nodeId)?.value.cancelledTasks ?? [];
    if (cancelled.length === 0) return undefined;
    await assignments.clearCancelled(nodeId, (taskId) => isTaskOver({ stores, registry }, nodeId, taskId));
    return { requeueAfterMs: NODE_CHECK_MS };
  }

  /** Takes over what a node is now: at once, so that nothing is placed on one that was just cordoned. */
  #syncNode(nodeId: string): void {
    const { book, scheduling } = this.#options;
    const before = book.node(nodeId);
    book.syncNode(nodeId);
    const after = book.node(nodeId);
    if (before && after ? equals(NodeSchema, before, after) : before === after) return;
    scheduling.nodeChanged(nodeId);
    if (after === undefined) this.#wakeDeployments();
    else if (before?.state !== after.state) this.#nodeChanged(nodeId, before?.state, after.state);
    if (isQuarantined(before) !== isQuarantined(after)) this.#wakeDeployments();
  }

  /** Nobody tells when a node falls silent. */
  #watchStates(): void {
    const { clock, stores, registry } = this.#options;
    if (this.#abort.signal.aborted) return;
    for (const [nodeId] of stores.nodes.entries()) if (registry.noteState(nodeId)) this.#nodes.add(nodeId);
    this.#options.incidents.tick();
    const cancel = clock.after(NODE_CHECK_MS, () => this.#watchStates());
    this.#stopWatch = cancel;
  }

  /** Nodes that hear nothing are on their own. */
  #beat(): void {
    const { bus, clock } = this.#options;
    if (this.#abort.signal.aborted) return;
    publishBeat(bus);
    this.#stopBeat = clock.after(BEAT_MS, () => this.#beat());
  }

  #nodeChanged(nodeId: string, before: NodeState | undefined, after: NodeState): void {
    this.#wakeDeployments();
    if (after === NodeState.READY) {
      if (before === NodeState.LOST) this.#options.health.facts.noteReturn(nodeId);
      this.#options.events.record({ kind: "node", name: nodeId, reason: "Ready", message: "it reports" });
    } else if (after === NodeState.LOST && before === NodeState.READY) {
      const message = "no heartbeat; it gets no new work";
      this.#options.events.record({ kind: "node", name: nodeId, reason: "Lost", message, warning: true });
    }
  }

  #wakeDeployments(): void {
    for (const [key] of this.#options.stores.deployments.entries()) this.#deployments.add(key);
  }

  #heartbeat(nodeId: string, previous: Heartbeat | undefined): void {
    const { registry } = this.#options;
    const heartbeat = registry.latest(nodeId);
    if (heartbeat === undefined) return;
    this.#options.health.facts.noteHeartbeat(previous, heartbeat);
    if (registry.noteState(nodeId) || needsNodeLook(previous, heartbeat)) this.#nodes.add(nodeId);
    for (const deployment of changedDeployments(previous, heartbeat)) this.#deployments.add(deployment);
    this.#options.incidents.beat(nodeId, previous);
  }

  #window(window: Window): void {
    const { stores, judges, metrics } = this.#options;
    metrics()?.window();
    const deployment = stores.deployments.get(window.deployment)?.value;
    const serves = stores.assignments
      .get(window.nodeId)
      ?.value.replicas.some((replica) => replica.deployment === window.deployment);
    if (deployment === undefined || !serves) return;
    this.#options.health.facts.noteWindow(window);
    if (judges.observe(deployment, window)) this.#deployments.add(window.deployment);
  }

  /** A promoted revision may be to blame. */
  #incidentChanged(id: string): void {
    const deployment = this.#options.stores.incidents.get(id)?.value.subject?.deployment ?? "";
    if (deployment !== "") this.#deployments.add(deployment);
  }

  #deploymentChanged(name: string): void {
    this.#deployments.add(name);
    this.#options.incidents.deploymentChanged(name);
    for (const [runId, names] of this.#deploying) if (names.has(name)) this.#runs.add(runId);
  }

  #assignmentChanged(nodeId: string): void {
    this.#options.book.syncAssignment(nodeId);
    this.#options.scheduling.noteRoom();
    if ((this.#options.stores.assignments.get(nodeId)?.value.cancelledTasks.length ?? 0) > 0) this.#nodes.add(nodeId);
  }

  async #taskEvents(events: readonly TaskEvent[]): Promise<void> {
    const { inbox, clock, metrics } = this.#options;
    metrics()?.taskEvents(events.length);
    const stored = events.map((event) => {
      const runId = event.ref?.runId ?? "";
      const done = inbox.put(runId, event);
      const urgent = event.event.case === "finished" || event.event.case === "withdrawn";
      if (urgent) this.#runs.add(runId);
      else clock.after(COALESCE_MS, () => this.#runs.add(runId));
      return done;
    });
    await Promise.all(stored);
  }
}

/** The deployments whose rollouts a run's jobs wait for. */
function deploymentsOf(run: Run | undefined): Set<string> {
  const names = (run?.jobs ?? []).flatMap((job) =>
    job.state === JobState.RUNNING && job.spec?.work.case === "deploy"
      ? [job.spec.work.value.deployment?.name ?? ""]
      : [],
  );
  return new Set(names);
}
