import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ResourceRequestSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import type { Demand } from "../demand.ts";
import { place } from "../place.ts";
import { claimOptions } from "./set-aside.ts";
import { jobOf, nodeOf, placedNames, policyOf, runningOf, type Scene, sceneOf } from "./testing/scene.ts";

const MINUTE = 60_000;

function demandOf(resources: MessageInitShape<typeof ResourceRequestSchema>, key = "voice-1-probe"): Demand {
  return { key, resources: create(ResourceRequestSchema, resources), spreadKey: "voice-1", workload: "voice" };
}

const make = ({ admission }: Scene, demands: readonly Demand[], priority = 50) =>
  admission.makeRoom({ name: "voice", demands, priority, nowMs: MINUTE });

test("the least harmful jobs of lower priority end, once, and the room is the claimant's as it becomes free", () => {
  const scene = sceneOf([nodeOf("a"), nodeOf("b")]);
  scene.start({ name: "kept", cpu: 4, preemptible: false }, "a");
  scene.start({ name: "one", cpu: 2 }, "b");
  scene.start({ name: "two", cpu: 2 }, "b");
  const demand = demandOf({ cpuMilli: 3 });
  const { preempted, nodeIds } = make(scene, [demand]);
  expect(nodeIds).toEqual(["b"]);
  expect(preempted.map(({ key }) => key).sort()).toEqual(["k:one", "k:two"]);
  expect(preempted[0]).toMatchObject({ nodeId: "b", preemptedBy: "voice" });
  // Asked again, and after news of a victim from before it was told.
  scene.start({ name: "one", cpu: 2 }, "b");
  expect(make(scene, [demand])).toEqual({ preempted: [], nodeIds: ["b"], isGivenBack: false });

  scene.end("one");
  expect(scene.admission.takeRoom("voice", demand)).toBeUndefined();
  // Jobs, whatever their priority, and other deployments get what is left beside it: nothing while "two" is there.
  scene.wait({ name: "late", cpu: 2, priority: 100, preemptible: false });
  expect(placedNames(scene.admission.pass(MINUTE))).toEqual([]);
  expect(scene.admission.tryNow([jobOf({ name: "later", cpu: 1, priority: 100 })], MINUTE)).toBeUndefined();
  expect(place(scene.cluster, demandOf({ cpuMilli: 1 }, "other")).kind).toBe("unplaced");
  scene.end("two");
  expect(place(scene.cluster, demandOf({ cpuMilli: 2 }, "other")).kind).toBe("unplaced");
  const room = scene.admission.takeRoom("voice", demand);
  expect(room).toEqual({ nodeId: "b", gpuIndices: [] });
  scene.cluster.reserve("b", "voice.1.b.0", demand.resources, claimOptions(demand, []));
  expect(make(scene, [])).toEqual({ preempted: [], nodeIds: [], isGivenBack: false });
  expect(scene.admission.takeRoom("voice", demand)).toBeUndefined();
});

test("nobody ends for nothing: equal priorities, jobs that must not be lost, the policy, a demand that never fits", () => {
  const none = (scene: Scene, cpuMilli: number, priority: number, job: object = {}): void => {
    scene.start({ name: "job", cpu: 4, ...job }, "n");
    const demand = demandOf({ cpuMilli });
    expect(make(scene, [demand], priority)).toEqual({ preempted: [], nodeIds: [], isGivenBack: false });
    expect(scene.cluster.reservationsOn("n").map(({ key }) => key)).toEqual(["k:job"]);
  };
  none(sceneOf([nodeOf("n")]), 1, 0);
  none(sceneOf([nodeOf("n")]), 1, 50, { preemptible: false });
  none(sceneOf([nodeOf("n")], { noPreemption: true }), 1, 50);
  none(sceneOf([nodeOf("n")]), 5, 50);
});

test("several places share what ends for them, and what is not wanted any more is given back", () => {
  const scene = sceneOf([nodeOf("a"), nodeOf("b")]);
  scene.start({ name: "one", cpu: 4 }, "a");
  scene.start({ name: "two", cpu: 4 }, "b");
  const demand = demandOf({ cpuMilli: 2 });
  const first = make(scene, [demand, demand]);
  expect(first.preempted).toHaveLength(1);
  expect(new Set(first.nodeIds).size).toBe(1);
  const more = make(scene, [demand, demand, demand]);
  expect(more.preempted).toHaveLength(1);
  expect(more.nodeIds).toHaveLength(3);
  expect(make(scene, [demand])).toMatchObject({ preempted: [], isGivenBack: true });
  scene.end("one");
  scene.end("two");
  scene.wait({ name: "a", cpu: 4 }, { name: "b", cpu: 2 }, { name: "c", cpu: 2 });
  // Six of eight are left.
  expect(placedNames(scene.admission.pass(MINUTE))).toHaveLength(2);
  make(scene, []);
  expect(placedNames(scene.admission.pass(MINUTE))).toHaveLength(1);
});

test("devices: those of the jobs that end", () => {
  const gpus = [0, 1].map((index) => ({ index, model: "l4", memoryMib: 24_000 }));
  const scene = sceneOf([nodeOf("n", { cpuMilli: 4, gpus })]);
  scene.start({ name: "one", resources: { gpu: { count: 1 } }, priority: 1 }, "n");
  scene.start({ name: "two", resources: { gpu: { count: 1 } } }, "n");
  const [, theirs] = [...scene.cluster.reservationsOn("n")].map(({ gpuIndices }) => gpuIndices);
  const demand = demandOf({ gpu: { count: 1 } });
  expect(make(scene, [demand]).preempted.map(({ key }) => key)).toEqual(["k:two"]);
  scene.end("two");
  scene.wait({ name: "late", resources: { gpu: { count: 1 } } });
  expect(placedNames(scene.admission.pass(MINUTE))).toEqual([]);
  expect(scene.admission.takeRoom("voice", demand)).toEqual({ nodeId: "n", gpuIndices: theirs });
});

test("a node that takes no more loses its claim, and others end elsewhere", () => {
  const scene = sceneOf([nodeOf("a"), nodeOf("b")]);
  scene.start({ name: "one", cpu: 4 }, "a");
  scene.start({ name: "two", cpu: 4, priority: 1 }, "b");
  const demand = demandOf({ cpuMilli: 4 });
  expect(make(scene, [demand]).nodeIds).toEqual(["a"]);
  const node = nodeOf("a");
  node.cordoned = true;
  scene.cluster.upsertNode(node);
  scene.end("one");
  expect(scene.admission.takeRoom("voice", demand)).toBeUndefined();
  expect(make(scene, [demand])).toMatchObject({ nodeIds: ["b"], isGivenBack: true });
});

test("goes on after a restart, under a policy of no preemption too: victims know for whom they end", () => {
  const scene = sceneOf([nodeOf("n")]);
  const victim = { ...runningOf(jobOf({ name: "v", cpu: 4 }), "n", 0), preemptedBy: "voice" };
  scene.cluster.reserve("n", victim.key, victim.demand.resources);
  scene.admission.run(victim);
  scene.admission.setPolicy(policyOf({ noPreemption: true }));
  expect(make(scene, [demandOf({ cpuMilli: 3 })])).toMatchObject({ preempted: [], nodeIds: ["n"] });
  scene.end("v");
  scene.wait({ name: "late", cpu: 2 });
  expect(placedNames(scene.admission.pass(MINUTE))).toEqual([]);
});
