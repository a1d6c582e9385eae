import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Run } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** How long an idempotency key names its run. */
const IDEMPOTENCY_MS = 24 * 3600 * 1000;

/** Finds runs by idempotency key without looking at all of them. Follows the store for as long as that lives. */
export class RunIndex {
  readonly #runs: Stores["runs"];
  readonly #byKey = new Map<string, string>();
  readonly #keys = new Map<string, string>();

  constructor(runs: Stores["runs"]) {
    this.#runs = runs;
    runs.onChange((runId) => this.#follow(runId));
  }

  /** The run that was submitted with a key in the last 24 hours. */
  find(key: string, nowMs: number): Run | undefined {
    const run = this.#runs.get(this.#byKey.get(key) ?? "")?.value;
    if (run?.idempotencyKey !== key || run.createdAt === undefined) return undefined;
    return nowMs - timestampMs(run.createdAt) < IDEMPOTENCY_MS ? run : undefined;
  }

  #follow(runId: string): void {
    const key = this.#runs.get(runId)?.value.idempotencyKey ?? "";
    const known = this.#keys.get(runId);
    if (key !== "" && known === undefined) {
      this.#keys.set(runId, key);
      // Ids grow with time: the newest run of a key counts.
      if ((this.#byKey.get(key) ?? "") < runId) this.#byKey.set(key, runId);
    } else if (key === "" && known !== undefined) {
      this.#keys.delete(runId);
      if (this.#byKey.get(known) === runId) this.#byKey.delete(known);
    }
  }
}
