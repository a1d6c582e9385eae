import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Clock, newId } from "@kedge/kernel";
import {
  AlertNotice,
  type AlertReceiver,
  type Incident,
  IncidentKind,
  IncidentSchema,
  IncidentSeverity,
  IncidentState,
} from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { createResolver } from "./addresses.ts";
import { deliver } from "./deliver.ts";
import { graphLinks } from "./graph-links.ts";

/** What a test works with. */
export interface TestReceiverOptions {
  readonly stores: Stores;
  readonly clock: Clock;
  readonly httpAddress: () => string;
}

const POINTS = 24;
const STEP_MS = 5_000;

/** Sends a made-up incident, once, at once, past routes, silences and rate limits. Nothing of it is stored. */
export async function testReceiver(receiver: AlertReceiver, { stores, clock, httpAddress }: TestReceiverOptions) {
  const nowMs = clock.now();
  const startMs = clock.monotonic();
  const incident = madeUp(newId(clock), nowMs);
  const links = graphLinks(stores, incident.id, { nowMs, ownAddress: httpAddress() });
  const id = `${incident.id}.${receiver.name}.1`;
  const notice = { incident, notice: AlertNotice.OPENED, id, number: 1, links, nowMs };
  const outcome = await deliver(receiver, notice, {
    clock,
    resolve: createResolver(),
    signal: new AbortController().signal,
  });
  const tookMs = Math.round(clock.monotonic() - startMs);
  return { error: outcome.kind === "taken" ? "" : outcome.error, tookMs };
}

/** It asks for nothing, and is gone from Alertmanager within minutes. */
function madeUp(id: string, nowMs: number): Incident {
  const points = Array.from({ length: POINTS }, (_, i) => ({
    at: timestampFromMs(nowMs - (POINTS - i) * STEP_MS),
    value: i < POINTS - 4 ? 1 + (i % 3) / 10 : 2 * (i - POINTS + 6),
  }));
  return create(IncidentSchema, {
    id,
    kind: IncidentKind.ANOMALY,
    state: IncidentState.OPEN,
    severity: IncidentSeverity.INFO,
    summary: "A test of this receiver; nothing is wrong",
    reason: "Somebody ran `kedge alert test`.",
    openedAt: timestampFromMs(nowMs - 4 * STEP_MS),
    lastSeenAt: timestampFromMs(nowMs),
    series: [{ metric: "made-up metric", unit: "%", points, usual: 1.1 }],
  });
}
