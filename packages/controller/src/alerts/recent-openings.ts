import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Incident } from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { subjectKey } from "./incident-words.ts";

interface Opening {
  readonly atMs: number;
  readonly severity: number;
}

/** When a receiver was last told that something began, by what it was about. */
export class RecentOpenings {
  readonly #last = new Map<string, Opening>();

  /** With what is stored about a receiver. */
  constructor(stores: Stores, receiver: string) {
    for (const [, { value }] of stores.alerts.entries()) {
      const incident = stores.incidents.get(value.incidentId)?.value;
      if (value.receiver !== receiver || incident === undefined || value.openingAt === undefined) continue;
      this.note(incident, timestampMs(value.openingAt));
    }
  }

  /** Notes that one is queued. Call before anything is awaited, so that two at once know of each other. */
  note(incident: Incident, atMs: number): void {
    const key = subjectKey(incident);
    const before = this.#last.get(key);
    if (before === undefined || before.atMs <= atMs) this.#last.set(key, { atMs, severity: incident.severity });
  }

  /** From when on the next one may be told; 0: at once. A graver one need not wait. */
  quietUntilMs(incident: Incident, minIntervalMs: number): number {
    const last = minIntervalMs === 0 ? undefined : this.#last.get(subjectKey(incident));
    return last === undefined || incident.severity > last.severity ? 0 : last.atMs + minIntervalMs;
  }
}
