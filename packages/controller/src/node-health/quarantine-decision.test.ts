import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { NodeLevel } from "@kedge/analysis";
import { NodeSchema, QuarantinePolicySchema, type QuarantineSchema, QuarantineState } from "@kedge/proto";
import { expect, test } from "vitest";
import { nextQuarantine } from "./quarantine-decision.ts";

const { ACTIVE, PROBATION } = QuarantineState;
const NOW = 1_000_000;
const MINUTE = 60_000;

function next(
  level: NodeLevel,
  quarantine?: MessageInitShape<typeof QuarantineSchema>,
  policy: MessageInitShape<typeof QuarantinePolicySchema> = {},
) {
  const node = create(NodeSchema, { id: "n1", ...(quarantine === undefined ? {} : { quarantine }) });
  return nextQuarantine({ node, level, policy: create(QuarantinePolicySchema, policy), nowMs: NOW });
}

const over = { until: timestampFromMs(NOW) };
const later = { until: timestampFromMs(NOW + 1) };

test("only sick nodes are set aside, for ten minutes at first, if the policy lets the controller", () => {
  expect(next("healthy")).toEqual({ kind: "stay" });
  expect(next("suspect")).toEqual({ kind: "stay" });
  expect(next("sick")).toEqual({ kind: "set-aside", durationMs: 10 * MINUTE, strikes: 1, endTasks: false });
  expect(next("sick", undefined, { firstSeconds: 60, endTasks: true })).toEqual({
    kind: "set-aside",
    durationMs: MINUTE,
    strikes: 1,
    endTasks: true,
  });
  expect(next("sick", undefined, { manualOnly: true })).toEqual({ kind: "stay" });
});

test("probation begins when the time is over and nothing speaks against it; by hand without a time, never", () => {
  expect(next("healthy", { state: ACTIVE, strikes: 1, ...later })).toEqual({ kind: "stay" });
  expect(next("healthy", { state: ACTIVE, strikes: 1, ...over })).toEqual({
    kind: "probation",
    durationMs: 10 * MINUTE,
  });
  expect(next("sick", { state: ACTIVE, strikes: 1, ...over })).toEqual({ kind: "stay" });
  expect(next("healthy", { state: ACTIVE, strikes: 1 })).toEqual({ kind: "stay" });
});

test("on probation the first sign is enough, and each time is twice as long, up to a day", () => {
  const again = (strikes: number) => next("suspect", { state: PROBATION, strikes, ...later });
  expect(again(1)).toMatchObject({ kind: "set-aside", durationMs: 20 * MINUTE, strikes: 2 });
  expect(again(2)).toMatchObject({ kind: "set-aside", durationMs: 40 * MINUTE, strikes: 3 });
  expect(again(40)).toMatchObject({ kind: "set-aside", durationMs: 24 * 60 * MINUTE, strikes: 41 });
  const manual = { manualOnly: true };
  expect(next("suspect", { state: PROBATION, strikes: 1, ...over }, manual)).toEqual({ kind: "stay" });
});

test("a node that is well through its probation is released", () => {
  expect(next("healthy", { state: PROBATION, strikes: 1, ...later })).toEqual({ kind: "stay" });
  expect(next("healthy", { state: PROBATION, strikes: 1, ...over })).toEqual({ kind: "release" });
});
