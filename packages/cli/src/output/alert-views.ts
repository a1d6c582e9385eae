import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  type AlertDelivery,
  AlertDeliveryState,
  type AlertMatcher,
  AlertNotice,
  type AlertSilence,
  IncidentKind,
  IncidentSeverity,
} from "@kedge/proto";
import type { Table } from "./table.ts";
import { enumName, formatSpan } from "./text.ts";

const since = (at: Timestamp | undefined): string =>
  at === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(at));

const until = (at: Timestamp | undefined): string =>
  at === undefined ? "-" : formatSpan(timestampMs(at) - systemClock.now());

/** What receivers were told, one notice a row. */
export function deliveryTable(deliveries: readonly AlertDelivery[]): Table {
  return {
    columns: ["INCIDENT", "RECEIVER", "#", "NOTICE", "STATE", "TRIES", "QUEUED", "NEXT TRY", "ERROR"],
    rows: deliveries.map((one) => [
      one.incidentId,
      one.receiver,
      String(one.number),
      enumName(AlertNotice, one.notice),
      enumName(AlertDeliveryState, one.state),
      String(one.attempts),
      since(one.queuedAt),
      one.state === AlertDeliveryState.PENDING ? until(one.nextAttemptAt) : "-",
      one.error || "-",
    ]),
  };
}

/** Silences, one a row. */
export function silenceTable(silences: readonly AlertSilence[]): Table {
  return {
    columns: ["SILENCE", "MATCHES", "ENDS IN", "BY", "WHY"],
    rows: silences.map(({ id, match, endsAt, createdBy, comment }) => [
      id,
      matcherText(match),
      until(endsAt),
      createdBy,
      comment,
    ]),
  };
}

function matcherText(match: AlertMatcher | undefined): string {
  const { kinds = [], minSeverity = 0, deployments = [], nodes = [] } = match ?? {};
  const parts = [
    ...kinds.map((kind) => enumName(IncidentKind, kind)),
    ...(minSeverity === 0 ? [] : [`${enumName(IncidentSeverity, minSeverity)} or graver`]),
    ...deployments.map((name) => `deployment ${name}`),
    ...nodes.map((name) => `node ${name}`),
  ];
  return parts.join(", ") || "everything";
}
