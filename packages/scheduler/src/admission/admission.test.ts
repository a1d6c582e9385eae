import { create } from "@bufbuild/protobuf";
import { HeldBack_Reason, PlacementSchema } from "@kedge/proto";
import { describe, expect, test } from "vitest";
import { jobOf, nodeOf, placedNames, policyOf, runningOf, sceneOf, waitingNames } from "./testing/scene.ts";

const MINUTE = 60_000;

describe("order", () => {
  test("equal jobs start first come first served, whatever order they were told in", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 2 })]);
    wait({ name: "c", waitingSinceMs: 3 }, { name: "a", waitingSinceMs: 1 }, { name: "b", waitingSinceMs: 2 });
    const plan = admission.pass(10);
    expect(placedNames(plan)).toEqual(["a", "b"]);
    expect(plan.waiting).toMatchObject([{ position: 1, heldBack: { reason: HeldBack_Reason.OUTBID, subject: "2" } }]);
  });

  test("a higher priority comes before everything else", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    wait({ name: "old" }, { name: "high", cpu: 4, priority: 1, waitingSinceMs: 9 * MINUTE });
    expect(placedNames(admission.pass(9 * MINUTE))).toEqual(["high"]);
  });

  test("what is small for its value comes before what is large, by what is scarce", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 4, memoryMib: 1000 })]);
    wait(
      { name: "large", resources: { cpuMilli: 4, memoryMib: 1 } },
      { name: "small", resources: { cpuMilli: 1, memoryMib: 100 } },
      { name: "small2", resources: { cpuMilli: 1, memoryMib: 100 } },
    );
    expect(placedNames(admission.pass(0))).toEqual(["small", "small2"]);
  });

  test("prices go on counting after the first job is placed", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 8 })]);
    wait({ name: "a", cpu: 5 }, { name: "b", cpu: 5 }, { name: "c" }, { name: "d" }, { name: "e" }, { name: "f" });
    expect(placedNames(admission.pass(0))).toEqual(["c", "d", "e", "f"]);
  });

  test("the largest come first where there is enough for all, so that none is left over", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 4 }), nodeOf("m", { cpuMilli: 3 })]);
    wait({ name: "a", cpu: 2 }, { name: "b", cpu: 2 }, { name: "large", cpu: 3, waitingSinceMs: 9_000 });
    expect(placedNames(admission.pass(9_000))).toEqual(["large", "a", "b"]);
    const tight = sceneOf([nodeOf("n", { cpuMilli: 4 }), nodeOf("m", { cpuMilli: 2 })]);
    tight.wait({ name: "a", cpu: 2 }, { name: "b", cpu: 2 }, { name: "large", cpu: 3, waitingSinceMs: 9_000 });
    expect(placedNames(tight.admission.pass(9_000))).toEqual(["a", "b"]);
  });

  test("teams take turns within a pass, however much longer the jobs of one have waited", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 6 })]);
    for (let i = 0; i < 6; i++) {
      wait({ name: `a${i}`, team: "a" }, { name: `b${i}`, team: "b", waitingSinceMs: 1000 });
    }
    expect(placedNames(admission.pass(20_000)).map(([team]) => team)).toEqual(["a", "b", "a", "b", "a", "b"]);
  });

  test("a near deadline counts", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 1 })]);
    wait({ name: "a", deadlineMs: 100 * 3_600_000 }, { name: "b", deadlineMs: 3_600_000 }, { name: "c" });
    const plan = admission.pass(1);
    expect([...placedNames(plan), ...waitingNames(plan)]).toEqual(["b", "a", "c"]);
  });

  test("a team that used more comes later", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 1 })]);
    const { resources } = jobOf({ name: "past" }).demand;
    admission.charge({ team: "greedy", resources, startedAtMs: 0, endedAtMs: 60 * MINUTE });
    const now = 60 * MINUTE;
    wait({ name: "a", team: "greedy", waitingSinceMs: now }, { name: "b", team: "modest", waitingSinceMs: now });
    expect(placedNames(admission.pass(now))).toEqual(["b"]);
  });

  test("one valuable job takes the place of two that were denser but are worth less together", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    const now = 50_000;
    wait({ name: "big", cpu: 4 }, { name: "s1", waitingSinceMs: now }, { name: "s2", waitingSinceMs: now - 1, cpu: 1 });
    // Worth 1.83 against 1 + 1: the small ones stay.
    expect(placedNames(admission.pass(now))).toEqual(["s2", "s1"]);
    const other = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    other.wait({ name: "big", cpu: 4 }, { name: "s1", waitingSinceMs: now, cpu: 2 });
    // Worth 1.83 against 1, and of twice the size.
    expect(placedNames(other.admission.pass(now))).toEqual(["big"]);
  });
});

describe("limits", () => {
  test("a quota holds back what is beyond it, and says by how much", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 9 })], { teams: { t: { quota: { cpuMilli: 3n } } } });
    wait({ name: "a", team: "t", cpu: 2 }, { name: "b", team: "t", cpu: 2 }, { name: "c", cpu: 2 });
    const plan = admission.pass(0);
    expect(placedNames(plan)).toEqual(["a", "c"]);
    expect(plan.waiting[0]?.heldBack).toMatchObject({
      reason: HeldBack_Reason.QUOTA,
      subject: "t/cpu_milli",
      wanted: 2,
      free: 1,
      total: 3,
    });
    expect(admission.teamUsage(0)).toMatchObject([
      { team: "default", runningJobs: 1, waitingJobs: 0 },
      { team: "t", held: { cpuMilli: 2n, jobs: 1 }, quota: { cpuMilli: 3n }, runningJobs: 1, waitingJobs: 1 },
    ]);
  });

  test("a concurrency group is not overfilled; the policy's limit takes the place of the job's", () => {
    const { admission, wait, end } = sceneOf([nodeOf("n", { cpuMilli: 9 })]);
    const concurrency = { group: "deploy", limit: 1 };
    for (const name of ["a", "b", "c"]) wait({ name, concurrency });
    const plan = admission.pass(0);
    expect(placedNames(plan)).toEqual(["a"]);
    expect(plan.waiting[0]?.heldBack).toMatchObject({
      reason: HeldBack_Reason.CONCURRENCY_GROUP,
      subject: "deploy",
      wanted: 1,
      free: 0,
      total: 1,
    });
    end("a");
    expect(placedNames(admission.pass(1))).toEqual(["b"]);
    admission.setPolicy(policyOf({ concurrencyLimits: { deploy: 2 } }));
    expect(placedNames(admission.pass(2))).toEqual(["c"]);
  });
});

describe("gangs", () => {
  const gang = { id: "r/g", members: ["r/a", "r/b"] };

  test("start together or not at all", () => {
    const { admission, wait, start, end } = sceneOf([nodeOf("n", { cpuMilli: 4 }), nodeOf("m", { cpuMilli: 4 })]);
    start({ name: "x", cpu: 2 }, "n");
    wait({ name: "r/a", cpu: 3, gang }, { name: "r/b", cpu: 3, gang });
    const plan = admission.pass(0);
    expect(plan.placed).toEqual([]);
    expect(plan.waiting.map(({ heldBack }) => heldBack?.reason)).toEqual([HeldBack_Reason.GANG, HeldBack_Reason.GANG]);
    end("x", 1);
    expect(placedNames(admission.pass(1)).sort()).toEqual(["r/a", "r/b"]);
  });

  test("wait for members that do not wait yet", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    wait({ name: "r/b", gang });
    expect(admission.pass(0).waiting[0]?.heldBack).toMatchObject({ reason: HeldBack_Reason.GANG, subject: "r/a" });
    wait({ name: "r/a", gang });
    expect(placedNames(admission.pass(1)).sort()).toEqual(["r/a", "r/b"]);
  });

  test("a starving gang gets room on several nodes", () => {
    const { admission, wait, start, end } = sceneOf([nodeOf("n", { cpuMilli: 4 }), nodeOf("m", { cpuMilli: 4 })]);
    start({ name: "x", cpu: 4, limitMs: 10 * MINUTE }, "n");
    start({ name: "y", cpu: 2, limitMs: 20 * MINUTE }, "m");
    wait(
      { name: "r/a", cpu: 4, gang },
      { name: "r/b", cpu: 4, gang },
      { name: "s", cpu: 2, waitingSinceMs: 2 * MINUTE },
    );
    const plan = admission.pass(2 * MINUTE);
    expect(plan.placed).toEqual([]);
    expect(plan.waiting.map(({ reserved }) => reserved)).toEqual([
      { nodeId: "n", atMs: 20 * MINUTE },
      { nodeId: "m", atMs: 20 * MINUTE },
      undefined,
    ]);
    expect(plan.waiting[2]?.heldBack?.reason).toBe(HeldBack_Reason.RESERVATION);
    end("x", 3 * MINUTE);
    expect(placedNames(admission.pass(3 * MINUTE))).toEqual([]);
    end("y", 4 * MINUTE);
    expect(placedNames(admission.pass(4 * MINUTE)).sort()).toEqual(["r/a", "r/b"]);
  });
});

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

describe("without a pass", () => {
  test("a job that nobody can be ahead of is placed at once", () => {
    const { admission, wait } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    expect(placedNames(admission.tryNow([jobOf({ name: "a", cpu: 3 })], 0))).toEqual(["a"]);
    expect(admission.tryNow([jobOf({ name: "b", cpu: 2 })], 0)).toBeUndefined();
    expect(admission.waitingCount).toBe(1);
    // Until a pass has seen "b", it could be ahead; afterwards it is known to find no room.
    expect(admission.tryNow([jobOf({ name: "c" })], 1)).toBeUndefined();
    admission.forget("k:c");
    expect(placedNames(admission.pass(1))).toEqual([]);
    expect(placedNames(admission.tryNow([jobOf({ name: "d" })], 1))).toEqual(["d"]);
    wait({ name: "e" });
    expect(admission.tryNow([jobOf({ name: "f", priority: 1 })], 1)).toBeUndefined();
    expect(admission.isIdle()).toBe(false);
  });

  test("all or none", () => {
    const { admission, cluster } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    expect(admission.tryNow([jobOf({ name: "a", cpu: 3 }), jobOf({ name: "b", cpu: 3 })], 0)).toBeUndefined();
    expect(cluster.reservationsOn("n")).toEqual([]);
    expect(admission.waitingCount).toBe(2);
  });
});

describe("the ledger", () => {
  test("what a pass placed can be taken back", () => {
    const { admission, cluster, wait } = sceneOf([nodeOf("n")], { teams: { default: { quota: { jobs: 1 } } } });
    wait({ name: "a" });
    admission.pass(0);
    cluster.release("k:a");
    admission.forget("k:a");
    wait({ name: "a" });
    expect(placedNames(admission.pass(1))).toEqual(["a"]);
    expect(admission.teamUsage(1)[0]).toMatchObject({ held: { jobs: 1 }, usedShare: 0 });
  });

  test("telling it the same again changes nothing", () => {
    const { admission, wait, start } = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    start({ name: "a", cpu: 2 }, "n");
    start({ name: "a", cpu: 2 }, "n");
    wait({ name: "a", cpu: 2 }, { name: "b" }, { name: "b" });
    const once = sceneOf([nodeOf("n", { cpuMilli: 4 })]);
    once.start({ name: "a", cpu: 2 }, "n");
    once.wait({ name: "b" });
    expect(admission.teamUsage(MINUTE)).toEqual(once.admission.teamUsage(MINUTE));
    expect(admission.waitingCount).toBe(1);
    admission.forget("k:b");
    admission.forget("k:b");
    expect(admission.isIdle()).toBe(true);
  });

  test("use decays by half in a half-life, and late news make no difference", () => {
    const usage = (tell: (scene: ReturnType<typeof sceneOf>) => void): number[] => {
      const scene = sceneOf([nodeOf("n", { cpuMilli: 4 })], { usageHalfLifeSeconds: 60 });
      scene.start({ name: "other", team: "b" }, "n", 0);
      tell(scene);
      return scene.admission.teamUsage(3 * MINUTE).map(({ usedShare }) => Math.round(usedShare * 1e6) / 1e6);
    };
    const told = usage((scene) => {
      scene.start({ name: "x", team: "a" }, "n", MINUTE);
      scene.end("x", 2 * MINUTE);
    });
    const late = usage((scene) => {
      scene.admission.teamUsage(2.5 * MINUTE);
      scene.start({ name: "x", team: "a" }, "n", MINUTE);
      scene.admission.teamUsage(2.7 * MINUTE);
      scene.end("x", 2 * MINUTE);
    });
    const { resources } = jobOf({ name: "x" }).demand;
    const stored = usage(({ admission }) =>
      admission.charge({ team: "a", resources, startedAtMs: MINUTE, endedAtMs: 2 * MINUTE }),
    );
    // One minute at weights 1/4 to 1/2, against three minutes at 1/8 to 1.
    expect(told[0]).toBeCloseTo(0.25 / (0.25 + 0.875), 5);
    expect(late).toEqual(told);
    expect(stored).toEqual(told);
  });
});
