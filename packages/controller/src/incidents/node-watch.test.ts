import { create } from "@bufbuild/protobuf";
import { type Heartbeat, HeartbeatSchema } from "@kedge/proto";
import { beforeEach, expect, test } from "vitest";
import { type NodeAlarm, NodeWatch } from "./node-watch.ts";

let nowMs: number;
let watch: NodeWatch;

beforeEach(() => {
  nowMs = 1_700_000_000_000;
  watch = new NodeWatch(nowMs);
});

const unrest = (i: number): number => ((i * 37) % 23) / 23;

function beat(loadAverage: number, freeMemoryMib: number): Heartbeat {
  const capacity = { cpuMilli: 4_000, memoryMib: 8_192 };
  return create(HeartbeatSchema, { nodeId: "n1", bootId: "b", capacity, loadAverage, freeMemoryMib });
}

/** Steps of ten seconds with five heartbeats each; all alarms. */
function steps(count: number, heartbeat: (i: number) => Heartbeat, slowness = 1): NodeAlarm[] {
  const alarms: NodeAlarm[] = [];
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 5; k++, nowMs += 2_000) watch.beat(heartbeat(i), nowMs);
    const share = { requests: 500, errorExcess: unrest(i) / 10, slowness: slowness + unrest(i) / 10 };
    watch.share({ deployment: "voice", ...share });
    watch.share({ deployment: "idle", requests: 25, slowness: 1, errorExcess: 0 });
    if (watch.isDue(nowMs)) alarms.push(...watch.close(nowMs));
  }
  return alarms;
}

const calm = (i: number): Heartbeat => beat(1 + unrest(i), 4_000 + Math.round(100 * unrest(i)));

test("a load beyond the cores, and memory that runs out, are found; as much within them is not", () => {
  expect(steps(150, calm)).toEqual([]);
  expect(steps(20, (i) => beat(3 + unrest(i), 2_000))).toEqual([]);
  watch = new NodeWatch(nowMs);
  steps(150, calm);
  expect(steps(6, () => beat(30, 100)).map(({ metric }) => metric)).toEqual(["load average", "free memory"]);
});

test("a node that answers slower than the others is found, with the deployment that shows it", () => {
  expect(steps(150, calm)).toEqual([]);
  expect(steps(6, calm, 3)).toMatchObject([{ metric: "slowness", deployment: "voice" }]);
});

test("figures that cannot be are missing, and gaps are remembered", () => {
  const hostile = [
    beat(Number.NaN, 4_294_967_295),
    beat(Number.POSITIVE_INFINITY, 0),
    beat(-5, 10_000),
    beat(1e300, 4_294_967_295),
  ];
  steps(20, calm);
  const before = watch.track.points("load average").length;
  expect(steps(40, (i) => hostile[i % 4] as Heartbeat)).toEqual([]);
  expect(watch.track.points("load average")).toHaveLength(before);
  expect(watch.track.points("free memory")).toHaveLength(before);
  nowMs += 60_000;
  steps(1, calm);
  expect(Math.max(...watch.track.points("heartbeat gap").map(({ value }) => value))).toBeGreaterThanOrEqual(60);
});
