import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DeploymentSchema, FlagRecordSchema, NodeSchema, RolloutState, SchedulingPolicySchema } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { POLICY_KEY } from "../scheduling/policy.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { RecentChanges } from "./recent-changes.ts";

const BEGAN_MS = 1_700_000_000_000;
const before = (seconds: number) => timestampFromMs(BEGAN_MS - 1_000 * seconds);

let world: TestStores;
beforeAll(async () => {
  world = await startTestStores();
});
afterAll(() => world.stop());

test("moves of rollouts, flags, joined nodes and the policy within the hour, with what they touched", async () => {
  const { stores } = world;
  const changes = new RecentChanges(stores);
  const stop = changes.follow(() => BEGAN_MS - 5_000);
  await stores.policies.create(POLICY_KEY, create(SchedulingPolicySchema));
  stop();
  const move = (to: RolloutState, seconds: number, weightPercent: number) => ({
    at: before(seconds),
    to,
    weightPercent,
  });
  const transitions = [
    move(RolloutState.PREPARING, 90, 0),
    move(RolloutState.PROGRESSING, 60, 25),
    move(RolloutState.SUCCEEDED, 30, 100),
  ];
  const rollout = { id: "vad-2-1", toRevision: 2, transitions };
  const old = { id: "vad-1-1", toRevision: 1, transitions: [move(RolloutState.SUCCEEDED, 7_200, 100)] };
  await stores.deployments.create("vad", create(DeploymentSchema, { name: "vad", rollout, history: [old] }));
  await stores.nodes.create("n1", create(NodeSchema, { id: "n1", enrolledAt: before(40) }));
  await stores.nodes.create("n2", create(NodeSchema, { id: "n2" }));
  const fast = { name: "fast", defaultVariant: "on" };
  const turnedOff = { flag: "fast", at: before(10), before: fast, after: { ...fast, disabled: true } };
  await stores.flagRecords.create("fast", create(FlagRecordSchema, { flag: turnedOff.after, change: turnedOff }));
  const deleted = { flag: "slow", at: before(8), before: { name: "slow" } };
  await stores.flagRecords.create("slow", create(FlagRecordSchema, { change: deleted }));
  const found = changes.since(BEGAN_MS, () => ["n1", "n2"]).toSorted((a, b) => a.atMs - b.atMs);
  expect(found).toEqual([
    { atMs: BEGAN_MS - 60_000, what: "revision 2 of vad takes traffic (25 %)", touched: ["n1", "n2", "vad"] },
    { atMs: BEGAN_MS - 40_000, what: "node n1 joined", touched: ["n1"] },
    { atMs: BEGAN_MS - 30_000, what: "revision 2 of vad promoted", touched: ["n1", "n2", "vad"] },
    { atMs: BEGAN_MS - 10_000, what: "flag fast: turned off" },
    { atMs: BEGAN_MS - 8_000, what: "flag slow: deleted" },
    { atMs: BEGAN_MS - 5_000, what: "scheduling policy changed" },
  ]);
});
