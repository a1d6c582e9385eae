import { clone, create, equals } from "@bufbuild/protobuf";
import { isKedgeError } from "@kedge/domain";
import { type Assignment, AssignmentSchema, type ReplicaAssignment, type TaskRef, TaskRefSchema } from "@kedge/proto";
import type { Stores } from "../stores.ts";

const MAX_RACES = 20;

/**
 * The one writer of what nodes must run. Every method states a whole fact ("these are the deployment's replicas on
 * this node"), so repeating it changes nothing.
 */
export class AssignmentWriter {
  readonly #stores: Stores;

  constructor(stores: Stores) {
    this.#stores = stores;
  }

  /** Makes `replicas` the deployment's replicas on the node, in place of those it had. */
  async setReplicas(nodeId: string, deployment: string, replicas: readonly ReplicaAssignment[]): Promise<void> {
    await this.#change(nodeId, (assignment) => {
      const others = assignment.replicas.filter((replica) => replica.deployment !== deployment);
      assignment.replicas = [...others, ...replicas].toSorted((a, b) => (a.replicaId < b.replicaId ? -1 : 1));
    });
  }

  /** Tells the node to end a task. */
  async cancelTask(nodeId: string, ref: Pick<TaskRef, "taskId" | "fence">): Promise<void> {
    await this.#change(nodeId, (assignment) => {
      if (assignment.cancelledTasks.some((task) => task.taskId === ref.taskId)) return;
      assignment.cancelledTasks.push(create(TaskRefSchema, ref));
    });
  }

  /** Drops the cancels of tasks that have ended. */
  async clearCancelled(nodeId: string, isOver: (taskId: string) => boolean): Promise<void> {
    await this.#change(nodeId, (assignment) => {
      assignment.cancelledTasks = assignment.cancelledTasks.filter((task) => !isOver(task.taskId));
    });
  }

  /** Every replica assigned anywhere, with its node. */
  *replicas(deployment?: string): Iterable<{ nodeId: string; replica: ReplicaAssignment }> {
    for (const [nodeId, { value }] of this.#stores.assignments.entries()) {
      for (const replica of value.replicas) {
        if (deployment === undefined || replica.deployment === deployment) yield { nodeId, replica };
      }
    }
  }

  async #change(nodeId: string, edit: (assignment: Assignment) => void): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = this.#stores.assignments.get(nodeId);
      const next = stored ? clone(AssignmentSchema, stored.value) : create(AssignmentSchema, { nodeId });
      edit(next);
      if (equals(AssignmentSchema, next, stored?.value ?? create(AssignmentSchema, { nodeId }))) return;
      next.generation += 1n;
      try {
        if (stored) await this.#stores.assignments.update(nodeId, next, stored.revision);
        else await this.#stores.assignments.create(nodeId, next);
        return;
      } catch (error) {
        // Runs and deployments write the same document; the loser reads again.
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }
}
