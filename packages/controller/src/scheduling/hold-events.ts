import type { StillWaiting } from "@kedge/scheduler";
import type { EventRecorder } from "../events/recorder.ts";

/** Tells people of jobs that room is held for. */
export function recordHolds(events: Pick<EventRecorder, "record">, held: readonly StillWaiting[]): void {
  for (const { job, reserved } of held) {
    const [name = "", jobOfRun = ""] = job.name.split("/");
    const message = `${jobOfRun}: room on ${reserved?.nodeId} is held for it`;
    events.record({ kind: "job", name, reason: "RoomHeld", message, fields: { job: jobOfRun } });
  }
}
