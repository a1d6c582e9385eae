import { type Clock, systemClock } from "@kedge/kernel";
import type { Window } from "@kedge/proto";
import { expect, test } from "vitest";
import { NO_TABLES } from "./backend-tables.ts";
import { emptyPlan, type GatewayPlan, type SplitEpoch } from "./gateway-plan.ts";
import { RequestLedger } from "./request-ledger.ts";

const clock: Clock = systemClock;

function planOf(epoch: number): GatewayPlan {
  const shares = [{ revision: 1, basisPoints: 10_000, judged: 10_000 }];
  const split: SplitEpoch = {
    ...{ epoch, deployment: "voice", generation: "1", windowMs: 60_000, shares },
    ...{ slotRevisions: [1], warmingSlots: [], cold: [] },
  };
  return { nextEpoch: epoch + 1, backends: [{ split, servers: [], tables: NO_TABLES }] };
}

test("windows of a deployment that went and came back have newer numbers, as a judge ignores old ones", () => {
  const windows: Window[] = [];
  const onWindow = (window: Window): void => void windows.push(window);
  const ledger = new RequestLedger({ nodeId: "n1", bootId: "b1", clock, onWindow, onWarm: () => {} });
  const serve = (epoch: number): void => {
    const plan = planOf(epoch);
    ledger.remember(plan.backends.flatMap(({ split }) => split ?? []));
    ledger.use(plan);
    ledger.record(`g917 ${epoch} {s0:${epoch}|||} e0 200 -- 1643 0 {}`);
  };
  serve(1);
  serve(2);
  ledger.use(emptyPlan({ backends: 1, serversPerBackend: 1 }));
  serve(3);
  ledger.stop();
  const counted = windows.filter(({ revisions }) => revisions.some(({ requests }) => requests > 0));
  expect(counted.map(({ sequence }) => sequence)).toHaveLength(3);
  const sequences = windows.map(({ sequence }) => sequence);
  expect(sequences).toEqual(sequences.map((_, index) => BigInt(index + 1)));
});
