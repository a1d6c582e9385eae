import { create } from "@bufbuild/protobuf";
import { HeldBack_Reason, PlacementSchema } from "@kedge/proto";
import { describe, expect, test } from "vitest";
import { jobOf, nodeOf, placedNames, runningOf, sceneOf } from "./testing/scene.ts";

const MINUTE = 60_000;

describe("preemption", () => {
  test("ends the least that is needed, of lower priority, and holds the room until it is there", () => {
    const { admission, wait, start, end } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    start({ name: "p5", cpu: 2, priority: 5 }, "n");
    start({ name: "old", cpu: 1 }, "n", 0);
    start({ name: "new", cpu: 1 }, "n", MINUTE);
    wait({ name: "high", cpu: 1, priority: 5, waitingSinceMs: MINUTE }, { name: "low", waitingSinceMs: MINUTE });
    const plan = admission.pass(2 * MINUTE);
    expect(plan.preempted).toMatchObject([{ key: "k:new", nodeId: "n", preemptedBy: "high" }]);
    expect(plan.waiting[0]?.heldBack).toMatchObject({ reason: HeldBack_Reason.PREEMPTING, subject: "n" });
    expect(admission.pass(2 * MINUTE)).toMatchObject({ placed: [], preempted: [] });
    // News of the victim from before it was told.
    start({ name: "new", cpu: 1 }, "n", MINUTE);
    expect(admission.pass(2 * MINUTE)).toMatchObject({ placed: [], preempted: [] });
    end("new", 2 * MINUTE);
    expect(placedNames(admission.pass(2 * MINUTE))).toEqual(["high"]);
  });

  test("does not happen for nothing: policy, priority, preemptible, constraints", () => {
    const none = (policy: object, victim: object, waiting: object): void => {
      const { admission, wait, start } = sceneOf([nodeOf("n", { cpuMilli: 4 })], policy);
      start({ name: "v", cpu: 4, ...victim }, "n");
      wait({ name: "w", cpu: 4, priority: 1, ...waiting });
      expect(admission.pass(0).preempted).toEqual([]);
    };
    none({ noPreemption: true }, {}, {});
    none({}, { priority: 1 }, {});
    none({}, { preemptible: false }, {});
    none({}, {}, { cpu: 5 });
    none({}, {}, { demand: { placement: create(PlacementSchema, { nodeSelector: { zone: "x" } }) } });
    none({ concurrencyLimits: { g: 0 } }, {}, { concurrency: { group: "g", limit: 1 } });
  });

  test("goes where it does least harm: by priorities, then by work lost, then by number", () => {
    const { admission, wait, start } = sceneOf([nodeOf("a"), nodeOf("b"), nodeOf("c"), nodeOf("d")]);
    start({ name: "a1", cpu: 4, priority: 2 }, "a");
    start({ name: "b1", cpu: 2 }, "b");
    start({ name: "b2", cpu: 2 }, "b");
    start({ name: "c1", cpu: 4, priority: 1 }, "c", MINUTE);
    start({ name: "d1", cpu: 4, priority: 1 }, "d", 2 * MINUTE);
    wait({ name: "high", cpu: 4, priority: 3, waitingSinceMs: 3 * MINUTE });
    expect(admission.pass(3 * MINUTE).preempted.map(({ key }) => key)).toEqual(["k:d1"]);
  });

  test("goes on after a restart: victims know for whom they end", () => {
    const { admission, cluster, wait } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    const victim = { ...runningOf(jobOf({ name: "v", cpu: 4 }), "n", 0), preemptedBy: "w" };
    cluster.reserve("n", victim.key, victim.demand.resources);
    admission.run(victim);
    wait({ name: "w", cpu: 2, priority: 1 });
    expect(admission.pass(0)).toMatchObject({ preempted: [], waiting: [{ heldBack: { subject: "n" } }] });
    expect(cluster.reservation("hold:w")?.nodeId).toBe("n");
  });
});
