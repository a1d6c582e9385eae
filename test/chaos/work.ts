import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Run } from "@kedge/proto";
import type { Cluster } from "../setup/cluster.ts";
import { ended, submit } from "../setup/runs.ts";
import { waitUntil } from "../setup/wait-for.ts";

/** A run whose steps leave a line each outside their workspace; its second step is held until told to go on. */
export class HeldWork {
  readonly runId: string;
  readonly #cluster: Cluster;
  readonly #effects: string;
  readonly #gate: string;

  private constructor(cluster: Cluster, runId: string, paths: { readonly effects: string; readonly gate: string }) {
    this.#cluster = cluster;
    this.runId = runId;
    this.#effects = paths.effects;
    this.#gate = paths.gate;
  }

  /** Starts it and waits until it is held. */
  static async start(cluster: Cluster, name: string): Promise<HeldWork> {
    const paths = { effects: join(cluster.folder, `${name}.effects`), gate: join(cluster.folder, `${name}.gate`) };
    const runId = await submit(cluster, { file: join(import.meta.dirname, "work.yaml"), parameters: paths });
    const work = new HeldWork(cluster, runId, paths);
    await work.did("one", "two");
    return work;
  }

  /** The lines that the steps left, in their order. */
  async effects(): Promise<string[]> {
    return (await readFile(this.#effects, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  }

  /** Waits until exactly these lines are there. */
  async did(...lines: readonly string[]): Promise<void> {
    await waitUntil(`the steps did ${lines.join(", ")}`, async () => {
      const seen = await this.effects();
      return { ok: seen.join() === lines.join(), seen };
    });
  }

  /** Lets it go on; how the run ended. */
  async finish(): Promise<Run> {
    await writeFile(this.#gate, "");
    return ended(this.#cluster, this.runId);
  }
}
