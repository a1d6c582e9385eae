import { clone } from "@bufbuild/protobuf";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { type Run, RunSchema } from "@kedge/proto";
import type { Stores } from "../stores.ts";

const MAX_RACES = 20;

/**
 * Stores what `change` makes of a run, in a copy, as it is by then: a run that makes progress is written often.
 *
 * @throws what `change` throws; KedgeError RUN_NOT_FOUND, TOO_LARGE, BUS_UNAVAILABLE; CONFLICT after too many lost races.
 */
export async function editRun(runs: Stores["runs"], runId: string, change: (run: Run) => void): Promise<Run> {
  for (let attempt = 1; ; attempt++) {
    const stored = runs.get(runId);
    if (stored === undefined) throw new KedgeError("RUN_NOT_FOUND", `there is no run ${runId}`, { field: "run_id" });
    const next = clone(RunSchema, stored.value);
    change(next);
    try {
      return (await runs.update(runId, next, stored.revision)).value;
    } catch (error) {
      if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
    }
  }
}
