import { HeldBack_Reason } from "@kedge/proto";
import { describe, expect, test } from "vitest";
import { jobOf, nodeOf, placedNames, policyOf, sceneOf, waitingNames } from "./testing/scene.ts";

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
