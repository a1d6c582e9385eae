import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isTaskEnded } from "@kedge/domain";
import type { Run } from "@kedge/proto";
import type { PastRun } from "@kedge/scheduler";
import { DEFAULT_TEAM } from "./job-demand.ts";
import { jobResources } from "./job-resources.ts";

/** What a run's attempts that have ended held and for how long: it counts for their team. */
export function pastRunsOf(run: Run): PastRun[] {
  const team = run.team || DEFAULT_TEAM;
  return run.jobs.flatMap(({ spec, tasks }) =>
    tasks.flatMap((task) => {
      if (!isTaskEnded(task.state) || spec === undefined) return [];
      const [startedAtMs, endedAtMs] = [msOf(task.offeredAt), msOf(task.finishedAt)];
      return endedAtMs > startedAtMs ? [{ team, resources: jobResources(spec), startedAtMs, endedAtMs }] : [];
    }),
  );
}

function msOf(at: Timestamp | undefined): number {
  return at === undefined ? 0 : timestampMs(at);
}
