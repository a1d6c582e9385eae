import { fromBinary } from "@bufbuild/protobuf";
import type { Bus } from "@kedge/bus";
import { RunSchema, TaskState } from "@kedge/proto";

/** The runs whose stored documents have a placement, followed in the bucket itself. */
export class StoredPlacements {
  readonly #at = new Map<string, number>();

  async watch(source: Bus): Promise<void> {
    const subscription = source.connection.subscribe("$KV.runs.*");
    for await (const message of subscription) {
      const run = fromBinary(RunSchema, message.data);
      const task = run.jobs[0]?.tasks.at(-1);
      const isPlaced = task !== undefined && task.nodeId !== "" && task.state === TaskState.OFFERED;
      if (isPlaced && !this.#at.has(run.id)) this.#at.set(run.id, performance.now());
    }
  }

  count(ids: readonly string[]): number {
    return ids.filter((id) => this.#at.has(id)).length;
  }

  /** When the last of them was stored. */
  async all(ids: readonly string[]): Promise<number> {
    const deadline = performance.now() + 300_000;
    while (this.count(ids) < ids.length) {
      if (performance.now() > deadline) throw new Error(`${this.count(ids)} of ${ids.length} runs are placed`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return Math.max(...ids.map((id) => this.#at.get(id) ?? 0));
  }
}
