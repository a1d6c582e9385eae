import { HeldBack_Reason } from "@kedge/proto";
import { describe, expect, test } from "vitest";
import { jobOf, nodeOf, placedNames, sceneOf } from "./testing/scene.ts";

const MINUTE = 60_000;

describe("room held for who waits for long", () => {
  test("what would delay it waits; what ends in time, or fits beside it, goes through", () => {
    const { admission, wait, start } = sceneOf([nodeOf("n", { cpuMilli: 4, memoryMib: 10 })]);
    start({ name: "x", cpu: 2, limitMs: 10 * MINUTE }, "n");
    wait({ name: "big", cpu: 4 });
    const now = 2 * MINUTE;
    expect(admission.pass(now).waiting[0]?.reserved).toEqual({ nodeId: "n", atMs: 10 * MINUTE });
    const fresh = { waitingSinceMs: now };
    wait(
      { ...fresh, name: "long", cpu: 1 },
      { ...fresh, name: "short", cpu: 1, limitMs: 8 * MINUTE },
      { ...fresh, name: "beside", resources: { memoryMib: 10 } },
    );
    const plan = admission.pass(now);
    expect(placedNames(plan).sort()).toEqual(["beside", "short"]);
    expect(plan.waiting.map(({ job, heldBack }) => [job.name, heldBack?.reason, heldBack?.subject])).toEqual([
      ["big", undefined, undefined],
      ["long", HeldBack_Reason.RESERVATION, "big"],
    ]);
  });

  test("holds no more than it needs beyond what ends by then", () => {
    const { admission, wait, start } = sceneOf([nodeOf("n", { cpuMilli: 8 })]);
    start({ name: "x", cpu: 5, limitMs: 10 * MINUTE }, "n");
    wait({ name: "big", cpu: 6 });
    admission.pass(2 * MINUTE);
    wait({ name: "beside", cpu: 2, waitingSinceMs: 2 * MINUTE });
    expect(placedNames(admission.pass(2 * MINUTE))).toEqual(["beside"]);
    wait({ name: "more", cpu: 1, waitingSinceMs: 2 * MINUTE });
    expect(placedNames(admission.pass(2 * MINUTE))).toEqual([]);
  });

  test("is given back with the job", () => {
    const { admission, cluster, wait, start } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    start({ name: "x", cpu: 2, limitMs: 10 * MINUTE }, "n");
    wait({ name: "big", cpu: 4 });
    admission.pass(2 * MINUTE);
    expect(cluster.reservation("hold:big")?.heldFor).toBe("big");
    admission.forget("k:big");
    expect(cluster.reservation("hold:big")).toBeUndefined();
  });

  test("whole devices: as many as do not become free by themselves", () => {
    const gpus = [0, 1, 2, 3].map((index) => ({ index, uuid: `u${index}`, model: "A", memoryMib: 10 }));
    const { admission, cluster, wait, start } = sceneOf([nodeOf("n", { cpuMilli: 8, gpus })]);
    start({ name: "x", resources: { gpu: { count: 2 } }, limitMs: 10 * MINUTE }, "n");
    wait({ name: "big", resources: { gpu: { count: 3 } } });
    admission.pass(2 * MINUTE);
    expect(cluster.reservation("hold:big")?.gpuIndices).toHaveLength(1);
    wait({ name: "one", resources: { gpu: { count: 1 } }, waitingSinceMs: 2 * MINUTE });
    wait({ name: "two", resources: { gpu: { count: 1 } }, waitingSinceMs: 2 * MINUTE });
    expect(placedNames(admission.pass(2 * MINUTE))).toEqual(["one"]);
  });

  test("a part of a device: its share beyond what becomes free", () => {
    const gpus = [{ index: 0, uuid: "u", model: "A", memoryMib: 10 }];
    const { admission, cluster, wait, start } = sceneOf([nodeOf("n", { cpuMilli: 8, gpus })]);
    start({ name: "x", resources: { gpu: { shareMilli: 500, memoryMib: 8 } }, limitMs: 10 * MINUTE }, "n");
    wait({ name: "big", resources: { gpu: { shareMilli: 700, memoryMib: 9 } } });
    admission.pass(2 * MINUTE);
    const held = cluster.reservation("hold:big");
    expect(held?.resources?.gpu).toMatchObject({ count: 0, shareMilli: 200, memoryMib: 1 });
    expect(held?.gpuIndices).toEqual([0]);
  });

  test("does not keep it from starting elsewhere sooner", () => {
    const { admission, cluster, wait, start, end } = sceneOf([nodeOf("n"), nodeOf("m")]);
    start({ name: "x", cpu: 2, limitMs: 10 * MINUTE }, "n");
    start({ name: "y", cpu: 2, limitMs: 20 * MINUTE }, "m");
    wait({ name: "big", cpu: 4 });
    expect(admission.pass(2 * MINUTE).waiting[0]?.reserved?.nodeId).toBe("n");
    end("y", 3 * MINUTE);
    expect(admission.pass(3 * MINUTE).placed).toMatchObject([{ nodeId: "m" }]);
    expect(cluster.reservation("hold:big")).toBeUndefined();
  });

  test("at most so many jobs have room held", () => {
    const { admission, wait, start } = sceneOf([nodeOf("n"), nodeOf("m")], { maxReservations: 1 });
    for (const node of ["n", "m"]) start({ name: `x-${node}`, cpu: 2, limitMs: 10 * MINUTE }, node);
    wait({ name: "one", cpu: 4 }, { name: "two", cpu: 4 }, { name: "small", cpu: 2, waitingSinceMs: 2 * MINUTE });
    const plan = admission.pass(2 * MINUTE);
    expect(plan.waiting.map(({ job, reserved }) => [job.name, reserved?.nodeId])).toEqual([
      ["one", "m"],
      ["two", undefined],
    ]);
    expect(plan.placed).toMatchObject([{ nodeId: "n" }]);
  });

  test("replicas never end: no room is held where only their end would help", () => {
    const { admission, cluster, wait } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    cluster.reserve("n", "replica", jobOf({ name: "r", cpu: 2 }).demand.resources);
    wait({ name: "big", cpu: 4 }, { name: "small", cpu: 2, waitingSinceMs: MINUTE });
    const plan = admission.pass(2 * MINUTE);
    expect(placedNames(plan)).toEqual(["small"]);
    expect(plan.waiting[0]?.reserved).toBeUndefined();
  });
});
