import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MatchKind, RequestSource } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Gateway } from "./gateway.ts";
import { eventually, type RuleInit, service, sum, TestBed, tolerance } from "./testing/test-bed.ts";
import { UserSketch } from "./user-sketch.ts";

const PATH = "/v2/models/m/infer";
let bed: TestBed;
beforeEach(() => {
  bed = new TestBed();
});
afterEach(() => bed.close());

/** A gateway with one replica of revision 1 and one of 2, which answer with their revision's number. */
async function twoRevisions() {
  const gateway = await bed.gateway();
  const endpoints = await Promise.all(
    [1, 2].map((revision) => bed.replica(`r${revision}`, revision, (_, res) => res.end(String(revision)))),
  );
  const apply = (share: number, rules: RuleInit = {}) =>
    gateway.apply([service({ 1: 10_000 - share, 2: share }, endpoints, { rules, windowMs: 20 })]);
  return { gateway, apply };
}

/** Revision that answers a request with these headers. */
async function revisionOf(gateway: Gateway, headers: Record<string, string>): Promise<string> {
  const { status, body } = await bed.get(gateway, PATH, headers);
  return status === 200 ? body : `status ${status}`;
}

/** Revisions that answer many requests, in the order of the requests. */
async function revisionsOf(gateway: Gateway, requests: readonly Record<string, string>[]): Promise<string[]> {
  const answers: string[] = [];
  const queue = [...requests.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) answers[next[0]] = await revisionOf(gateway, next[1]);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return answers;
}

test("each request is assigned by chance, on its own", async () => {
  const { gateway, apply } = await twoRevisions();
  await apply(5_000);
  const answers: string[] = [];
  // One after another: round robin would take turns.
  for (let i = 0; i < 2_000; i++) answers.push(await revisionOf(gateway, {}));
  for (const lag of [1, 2, 3]) {
    const same = answers.slice(lag).filter((answer, i) => answer === answers[i]).length;
    expect(Math.abs(same / (2_000 - lag) - 0.5)).toBeLessThan(tolerance(0.5, 2_000 - lag));
  }
  expect(Math.abs(answers.filter((answer) => answer === "2").length / 2_000 - 0.5)).toBeLessThan(tolerance(0.5, 2_000));
});

describe("sticky", () => {
  const users = Array.from({ length: 600 }, (_, i) => `user ${i}; "é"`);
  const sticky = { key: { source: RequestSource.HEADER, name: "X-User" }, salt: "s1" };
  const requests = users.map((user) => ({ "x-user": Buffer.from(user).toString("latin1") }));

  test("a user stays with a revision, and moves to the new one only as it grows; users are counted", async () => {
    const { gateway, apply } = await twoRevisions();
    let before: string[] = [];
    for (const share of [1_000, 3_000, 6_000]) {
      await apply(share, { sticky });
      const answers = await revisionsOf(gateway, [...requests, ...requests]);
      expect(answers.slice(users.length)).toEqual(answers.slice(0, users.length));
      for (const [i, answer] of before.entries()) if (answer === "2") expect(answers[i]).toBe("2");
      before = answers.slice(0, users.length);
      const onNew = before.filter((answer) => answer === "2").length / users.length;
      expect(Math.abs(onNew - share / 10_000)).toBeLessThan(tolerance(share / 10_000, users.length));
    }
    const seen = await eventually(
      () => sketches(2).count(),
      // Four standard errors of a sketch that has more users than it tells.
      (count) => count >= 0.75 * before.filter((answer) => answer === "2").length,
    );
    expect(seen).toBeLessThan(1.25 * users.length);
  });

  test("requests without the key are assigned by chance", async () => {
    const { gateway, apply } = await twoRevisions();
    await apply(5_000, { sticky });
    expect(new Set(await revisionsOf(gateway, new Array(50).fill({})))).toEqual(new Set(["1", "2"]));
  });

  test("by cookie; another salt assigns users anew", async () => {
    const { gateway, apply } = await twoRevisions();
    const cookies = users.map((_, i) => ({ cookie: `a=1; uid=${i}; b=2` }));
    const by = (salt: string) => apply(5_000, { sticky: { key: { source: RequestSource.COOKIE, name: "uid" }, salt } });
    await by("s1");
    const first = await revisionsOf(gateway, cookies);
    expect(await revisionsOf(gateway, cookies)).toEqual(first);
    await by("s2");
    const second = await revisionsOf(gateway, cookies);
    const same = second.filter((answer, i) => answer === first[i]).length / users.length;
    expect(Math.abs(same - 0.5)).toBeLessThan(tolerance(0.5, users.length));
  });
});

/** All users of a revision, over all windows. */
function sketches(revision: number): UserSketch {
  const all = new UserSketch();
  for (const { users } of bed.windows.flatMap(({ revisions }) =>
    revisions.filter((arm) => arm.revision === revision),
  )) {
    const sketch = UserSketch.parse(users);
    if (sketch) all.merge(sketch);
  }
  return all;
}

describe("match rules", () => {
  const key = { source: RequestSource.HEADER, name: "X-Group" };
  const match = (values: string[], options: { key?: typeof key; kind?: MatchKind; revision?: number } = {}) => ({
    match: { key: options.key ?? key, kind: options.kind ?? MatchKind.EXACT, values },
    revision: options.revision ?? 2,
  });

  test("exact, prefix and set, by header and cookie; the first that matches decides; not in the split's counts", async () => {
    const { gateway, apply } = await twoRevisions();
    await apply(0, {
      matches: [
        match(["keep"], { revision: 1 }),
        match(["beta", "gamma"]),
        match(["ke"], { kind: MatchKind.PREFIX }),
        match(["on"], { key: { source: RequestSource.COOKIE, name: "new" } }),
        match(["x"], { revision: 9 }),
      ],
    });
    const cases: [Record<string, string>, string][] = [
      [{ "x-group": "beta" }, "2"],
      [{ "x-group": "gamma" }, "2"],
      [{ "x-group": "keep" }, "1"],
      [{ "x-group": "kept" }, "2"],
      [{ "x-group": "bet" }, "1"],
      [{ "x-group": "x" }, "1"],
      [{ cookie: "a=1; new=on" }, "2"],
      [{ cookie: "new=off" }, "1"],
      [{}, "1"],
    ];
    for (const [headers, revision] of cases)
      expect([headers, await revisionOf(gateway, headers)]).toEqual([headers, revision]);
    await eventually(
      () => bed.counted(1),
      (count) => count === 4,
    );
    expect(bed.counted(2)).toBe(0);
    const matched = bed.windows.flatMap((window) => window.matched);
    expect(sum(matched.filter(({ revision }) => revision === 2).map(({ requests }) => requests))).toBe(4);
  });

  test("hostile values change nothing but what they match", async () => {
    const { gateway, apply } = await twoRevisions();
    const values = [
      ...[
        "a b",
        "a;shutdown sessions server s0/e0",
        "'q' \"qq\"",
        "\\",
        "\\1",
        "#x",
        ".*",
        "a|b",
        "(",
        "é ü 漢",
        "%[rand]",
      ],
      ...["{x}", "$(id)", "a\\x0ab", " <<", "a:b,c", "@1", "//", "[", "*", "+"],
    ];
    await apply(0, { matches: values.map((value) => match([value])) });
    const check = async () => {
      for (const value of values) {
        const sent = Buffer.from(value.trim()).toString("latin1");
        const wanted = value === value.trim() ? "2" : "1";
        expect([value, await revisionOf(gateway, { "x-group": sent })]).toEqual([value, wanted]);
      }
      for (const value of ["a", "xyz", "b", "a\\nb", "x"]) {
        expect([value, await revisionOf(gateway, { "x-group": value })]).toEqual([value, "1"]);
      }
    };
    await check();
    // A HAProxy that is started again reads the same from its files.
    process.kill(JSON.parse(readFileSync(join(bed.dir, "process.json"), "utf8")).pid, "SIGKILL");
    await eventually(
      () => revisionOf(gateway, { "x-group": "a b" }),
      (answer) => answer === "2",
    );
    await check();
    expect(gateway.stats()).toMatchObject({ starts: 2, reloads: 0 });
  });

  test("what no header can hold is refused", async () => {
    const { apply } = await twoRevisions();
    const bad: RuleInit[] = [
      { matches: [match(["a\nb"])] },
      { matches: [match(["a\r\nx-admin: 1"])] },
      { matches: [match(["\u0000"])] },
      { matches: [match([""])] },
      { matches: [match([])] },
      { matches: [match(["a"], { key: { ...key, name: "x y" } })] },
      { matches: [match(["a"], { key: { ...key, name: "x\n" } })] },
      { matches: [match(["a"], { key: { ...key, name: "x;y" } })] },
      { matches: [match(["a".repeat(129)])] },
      { matches: [match(new Array(65).fill("a"))] },
      { sticky: { key, salt: "a b" } },
      { sticky: { salt: "a" } },
      { matches: [{ revision: 2 }] },
      { matches: [match(["a"], { kind: MatchKind.UNSPECIFIED })] },
      { mirrors: [{ revision: 2, basisPoints: 10_001 }] },
    ];
    for (const rules of bad)
      expect(() => apply(0, rules)).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
  });
});

test("a preview is reached by path too, by no other, and is in no window", async () => {
  const gateway = await bed.gateway();
  const [old, current] = await Promise.all([bed.replica("old", 1), bed.replica("new", 2)]);
  const apply = (rules: RuleInit) => gateway.apply([service({ 1: 10_000 }, [old, current], { rules, windowMs: 20 })]);
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const { status, body } = await bed.get(gateway, path, headers);
    return status === 200 ? body : status;
  };
  await apply({ previewRevision: 2 });
  expect(await get("/preview/2/v2/models/m/infer?a=1")).toBe("new /v2/models/m/infer?a=1");
  expect(await get("/preview/2/d/m/x/y?q=1")).toBe("new /x/y?q=1");
  expect(await get("/preview/2/any", { "kedge-deployment": "m" })).toBe("new /any");
  expect(await get("/preview/2/v2/models/m/infer", { "kedge-revision": "1" })).toBe("new /v2/models/m/infer");
  for (const revision of ["1", "3", "22", "9999999999"]) {
    expect([revision, await get(`/preview/${revision}${PATH}`)]).toEqual([revision, 503]);
  }
  const hostile = [
    ...[
      "/preview/",
      "/preview/2",
      "/preview/2/",
      "/preview//v2/models/m",
      "/preview/x/v2/models/m",
      "/preview/02/v2/models/m",
    ],
    ...[
      "/preview/2/preview/2/v2/models/m",
      "/preview/2/../v2/models/m",
      "/preview/2//v2/models/m",
      "/PREVIEW/2/v2/models/m",
    ],
    ...[
      "/preview/2%0d%0akedge-deployment:%20m/v2/models/m",
      "/preview/99999999999/v2/models/m",
      "/preview/-2/v2/models/m",
    ],
    ...[
      "/preview/2/v2/health/ready",
      "/preview/2/v2/models/no/infer",
      "/preview/2;x/v2/models/m",
      "/preview/%32/v2/models/m",
    ],
  ];
  for (const path of hostile) expect([path, await get(path)]).toEqual([path, 404]);
  // Without a preview revision nobody else answers in its place, whatever else there is.
  await apply({});
  expect(await get(`/preview/2${PATH}`)).toBe(503);
  const key = { source: RequestSource.HEADER, name: "x-beta" };
  await apply({ matches: [{ revision: 2, match: { key, kind: MatchKind.EXACT, values: ["yes"] } }] });
  expect(await get(`/preview/2${PATH}`, { "x-beta": "yes" })).toBe(503);
  expect(await get(PATH, { "x-beta": "yes" })).toBe(`new ${PATH}`);
  await eventually(
    () => gateway.stats().deployments[0],
    (stats) => stats?.previewed === 4 && stats.unserved === 6,
  );
  const matched = () => sum(bed.windows.flatMap((window) => window.matched.map(({ requests }) => requests)));
  await eventually(matched, (count) => count === 1);
  expect([bed.counted(1), bed.counted(2)]).toEqual([0, 0]);
});

test("a preview is reached by header alone, only when allowed, and is not counted in windows", async () => {
  const { gateway, apply } = await twoRevisions();
  await apply(0);
  expect(await revisionOf(gateway, { "kedge-revision": "2" })).toBe("1");
  await apply(0, { previewRevision: 2 });
  expect(await revisionOf(gateway, { "kedge-revision": "2" })).toBe("2");
  expect(await revisionOf(gateway, {})).toBe("1");
  expect(await revisionOf(gateway, { "kedge-revision": "1" })).toBe("status 503");
  expect(await revisionOf(gateway, { "kedge-revision": "22" })).toBe("status 503");
  const stats = () => gateway.stats().deployments[0];
  await eventually(stats, (each) => each?.previewed === 1 && each.unserved === 2);
  await eventually(
    () => bed.counted(1),
    (count) => count === 2,
  );
  expect(bed.counted(2)).toBe(0);
  expect(stats()?.revisions.find(({ revision }) => revision === 2)?.requests).toBe(1);
});
