import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { judgeFleet, type NodeJudgement, type NodeLevel, obstacleToQuarantine } from "@kedge/analysis";
import type { Clock } from "@kedge/kernel";
import { HealthLevel, type Node, type NodeHealth, NodeHealthSchema, type QuarantinePolicy } from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { NodeWriter } from "../nodes/node-writer.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import { schedulingPolicy } from "../scheduling/policy.ts";
import type { Stores } from "../stores.ts";
import { revisionName } from "./fact-sources.ts";
import { quarantineRoom } from "./fleet-room.ts";
import { NodeFacts } from "./node-facts.ts";
import { CONTROLLER, isQuarantined, putOnProbation, release, setAside } from "./quarantine.ts";
import { nextQuarantine, type QuarantineStep } from "./quarantine-decision.ts";

/** What nodes are kept healthy with. */
export interface HealthKeeperOptions {
  readonly stores: Stores;
  readonly registry: NodeRegistry;
  readonly nodeWriter: NodeWriter;
  readonly assignments: Pick<AssignmentWriter, "replicas">;
  readonly events: EventRecorder;
  /** Ends the tasks on a node that may be tried elsewhere. */
  readonly evict: (nodeId: string, by: string) => void;
  readonly clock: Clock;
}

interface Judged {
  readonly judgement: NodeJudgement;
  readonly sinceMs: number;
  /** Why it is not set aside although it is sick. */
  spared?: string;
}

const LEVELS: Readonly<Record<NodeLevel, HealthLevel>> = {
  healthy: HealthLevel.HEALTHY,
  suspect: HealthLevel.SUSPECT,
  sick: HealthLevel.SICK,
};
const SPAN = "15 min";
const MAX_REASONS = 8;

/**
 * Judges the nodes and sets sick ones aside. What it decides is stored in the node's document, by compare-and-set, and
 * everything else follows from there: placement, replicas that move, tasks that end.
 */
export class HealthKeeper {
  readonly facts: NodeFacts;
  readonly #options: HealthKeeperOptions;
  #judged = new Map<string, Judged>();

  constructor(options: HealthKeeperOptions) {
    this.#options = options;
    this.facts = new NodeFacts(options);
  }

  /** Call at each start of the loops. */
  restart(): void {
    this.#judged.clear();
    this.facts.restart();
  }

  /** Judges all nodes and takes the next step with each; gives the deployments whose replicas had better move. */
  async look(): Promise<ReadonlySet<string>> {
    const before = this.#misfitNames();
    this.#judge();
    for (const [nodeId] of this.#options.stores.nodes.entries()) await this.#tend(nodeId);
    const after = this.#misfitNames();
    return new Set([...after].filter((name) => !before.has(name)).map((name) => name.split(" ", 1)[0] ?? ""));
  }

  /** How well a node is; absent while nothing is known of it. */
  health(nodeId: string): NodeHealth | undefined {
    const judged = this.#judged.get(nodeId);
    if (judged === undefined) return undefined;
    const { judgement, sinceMs, spared } = judged;
    const isSpared = spared !== undefined;
    const reasons = judgement.reasons.slice(0, MAX_REASONS - Number(isSpared)).map((reason) => ({ ...reason }));
    if (isSpared) reasons.push({ text: `it is not set aside: ${spared}`, clears: "that changes" });
    return create(NodeHealthSchema, { level: LEVELS[judgement.level], since: timestampFromMs(sinceMs), reasons });
  }

  /** The nodes on which a revision fails while it is well on others, with the reason. */
  misfits(deployment: string, revision: number): ReadonlyMap<string, string> {
    const wanted = revisionName(deployment, revision);
    const nodes = new Map<string, string>();
    for (const [nodeId, { judgement }] of this.#judged) {
      const misfit = judgement.misfits.find(({ workload, kind }) => kind !== "tasks" && workload === wanted);
      if (misfit !== undefined) nodes.set(nodeId, misfit.reason.text);
    }
    return nodes;
  }

  #misfitNames(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const [nodeId, { judgement }] of this.#judged) {
      for (const { workload, kind } of judgement.misfits) if (kind !== "tasks") names.add(`${workload} ${nodeId}`);
    }
    return names;
  }

  #judge(): void {
    const nowMs = this.#options.clock.now();
    for (const nodeId of this.facts.forgiveJudgedAnew()) this.#judged.delete(nodeId);
    const before = new Map([...this.#judged].map(([nodeId, { judgement }]) => [nodeId, judgement.level]));
    const fleet = { nodes: this.facts.own(), workloads: this.facts.workloads(), span: SPAN, before };
    const judged = new Map<string, Judged>();
    for (const [nodeId, judgement] of judgeFleet(fleet)) {
      const last = this.#judged.get(nodeId);
      const isSame = last?.judgement.level === judgement.level;
      judged.set(nodeId, { judgement, sinceMs: isSame ? last.sinceMs : nowMs });
      if (!isSame) this.#tell(nodeId, last?.judgement.level, judgement);
    }
    this.#judged = judged;
  }

  #tell(nodeId: string, before: NodeLevel | undefined, { level, reasons }: NodeJudgement): void {
    if (before === undefined && level === "healthy") return;
    const reason = { healthy: "NodeHealthy", suspect: "NodeSuspect", sick: "NodeSick" }[level];
    const message = level === "healthy" ? "nothing speaks against it any more" : textOf(reasons);
    this.#options.events.record({ kind: "node", name: nodeId, reason, message, warning: level !== "healthy" });
  }

  async #tend(nodeId: string): Promise<void> {
    const { stores, clock, evict } = this.#options;
    const node = stores.nodes.get(nodeId)?.value;
    const judged = this.#judged.get(nodeId);
    if (node === undefined || judged === undefined) return;
    const policy = schedulingPolicy(stores).quarantine;
    const { level } = judged.judgement;
    const step = nextQuarantine({ node, level, policy, nowMs: clock.now() });
    if (step.kind === "set-aside") {
      const obstacle = this.#obstacle(nodeId, policy);
      if (obstacle !== undefined) judged.spared = obstacle;
      else await this.#setAside(node, step, judged.judgement);
    } else if (step.kind === "probation") {
      await this.#probation(nodeId, step.durationMs);
    } else if (step.kind === "release") {
      await this.#release(nodeId);
    }
    const now = stores.nodes.get(nodeId)?.value;
    if (isQuarantined(now) && now?.quarantine?.endTasks) evict(nodeId, `the quarantine of ${nodeId}`);
  }

  #obstacle(nodeId: string, policy: QuarantinePolicy | undefined): string | undefined {
    const { stores, registry, assignments } = this.#options;
    const nodes = [...stores.nodes.entries()].map(([, { value }]) => registry.describe(value));
    return obstacleToQuarantine(nodeId, quarantineRoom(nodes, assignments, policy));
  }

  async #setAside(
    { id, quarantine }: Node,
    { durationMs, strikes, endTasks }: Extract<QuarantineStep, { kind: "set-aside" }>,
    { reasons }: NodeJudgement,
  ): Promise<void> {
    const { nodeWriter, clock, events } = this.#options;
    const reason = textOf(reasons);
    const order = { reason, by: CONTROLLER, nowMs: clock.now(), durationMs, strikes, endTasks };
    const stored = await nodeWriter.edit(id, (draft) => {
      // Whatever a person did meanwhile stands.
      if (draft.quarantine?.state === quarantine?.state) setAside(draft, order);
    });
    if (!isQuarantined(stored) || stored.quarantine?.by !== CONTROLLER) return;
    const message = `for ${Math.round(durationMs / 1_000)} s, strike ${strikes}: ${reason}`;
    events.record({ kind: "node", name: id, reason: "NodeQuarantined", message, warning: true });
  }

  async #probation(nodeId: string, durationMs: number): Promise<void> {
    const { nodeWriter, clock, events } = this.#options;
    await nodeWriter.edit(nodeId, (draft) => {
      if (isQuarantined(draft)) putOnProbation(draft, clock.now(), durationMs);
    });
    const message = `it takes a little work for ${Math.round(durationMs / 1_000)} s`;
    events.record({ kind: "node", name: nodeId, reason: "NodeOnProbation", message });
  }

  async #release(nodeId: string): Promise<void> {
    const { nodeWriter, clock, events } = this.#options;
    await nodeWriter.edit(nodeId, (draft) => {
      if (draft.quarantine !== undefined && !isQuarantined(draft)) release(draft, clock.now());
    });
    events.record({ kind: "node", name: nodeId, reason: "NodeReleased", message: "it was well on probation" });
  }
}

function textOf(reasons: NodeJudgement["reasons"]): string {
  return reasons.map(({ text }) => text).join("; ");
}
