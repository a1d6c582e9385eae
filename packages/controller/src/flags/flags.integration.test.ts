import { create, fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { isKedgeError } from "@kedge/domain";
import { type Flag, type FlagRuleSchema, FlagSchema, FlagService, FlagType, Role } from "@kedge/proto";
import { describeFlagChange, FlagSet } from "@kedge/rollout/flags";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControllerHarness } from "../testing/controller-harness.ts";
import { eventually } from "../testing/eventually.ts";

const reasonOf = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "none",
    (error: unknown) => (isKedgeError(error) ? `${error.reason} ${error.message}` : String(error)),
  );

function ramp(on: number): MessageInitShape<typeof FlagRuleSchema> {
  const shares = [
    { variant: "on", basisPoints: on },
    { variant: "off", basisPoints: 10_000 - on },
  ];
  return { name: "ramp", serve: { case: "split", value: { shares } } };
}

function dark(more: Omit<Exclude<MessageInitShape<typeof FlagSchema>, Flag>, "$typeName"> = {}): Flag {
  const variants = { on: fromJson(ValueSchema, true), off: fromJson(ValueSchema, false) };
  return create(FlagSchema, { name: "dark", type: FlagType.BOOLEAN, variants, defaultVariant: "off", ...more });
}

describe("feature flags", () => {
  let harness: ControllerHarness;
  beforeAll(async () => {
    harness = await ControllerHarness.start();
  });
  afterAll(() => harness.stop());

  /** What nodes get: the signed document, as WatchFlags shows it. */
  const published = (isDone: (set: FlagSet) => boolean): Promise<FlagSet> =>
    eventually(async () => {
      for await (const { flags } of harness.flags.watchFlags({})) if (flags !== undefined) return new FlagSet(flags);
      throw new Error("the watch ended");
    }, isDone);

  const onUsers = (set: FlagSet): string[] =>
    Array.from({ length: 500 }, (_, i) => `user-${i}`).filter(
      (targetingKey) => set.evaluate("dark", { targetingKey }).value === true,
    );

  const history = async (flag = ""): Promise<string[]> => {
    const { changes } = await harness.flags.listFlagChanges({ flag });
    return changes.map((change) => {
      const what = describeFlagChange(change.before, change.after).join("; ");
      return `${change.flag} ${change.before?.generation ?? "-"}>${change.after?.generation ?? "-"} ${what} (${change.reason})`;
    });
  };

  it("has a document for the nodes before there is any flag", async () => {
    expect([...(await published(() => true)).names]).toEqual([]);
  });

  it("stores a flag, and the same again changes nothing", async () => {
    const first = await harness.flags.applyFlag({ flag: dark({ description: "Dark mode." }), reason: "first try" });
    expect(first).toMatchObject({ changed: true, flag: { generation: 1n, updatedBy: "admin" } });
    const again = await harness.flags.applyFlag({ flag: dark({ description: "Dark mode." }) });
    expect(again).toMatchObject({ changed: false, flag: { generation: 1n } });
    expect((await harness.flags.listFlags({})).flags.map(({ name }) => name)).toEqual(["dark"]);
    await published((set) => set.evaluate("dark", {}).reason === "STATIC");
  });

  it("keeps the users of a variant while it grows", async () => {
    const seen: string[][] = [];
    for (const [on, least] of [
      [1000, 20],
      [4000, 150],
    ] as const) {
      await harness.flags.applyFlag({ flag: dark({ rules: [ramp(on)] }), reason: `ramp to ${on / 100} %` });
      seen.push(onUsers(await published((set) => onUsers(set).length > least)));
    }
    const [few = [], many = []] = seen;
    expect(few.length).toBeLessThan(many.length);
    expect(few.filter((user) => !many.includes(user))).toEqual([]);
  });

  it("refuses what was decided on an older state, and takes one of two at once", async () => {
    const { flag } = await harness.flags.getFlag({ name: "dark" });
    const generation = flag?.generation ?? 0n;
    expect(generation).toBe(3n);
    const stale = harness.flags.applyFlag({ flag: dark(), expectedGeneration: generation - 1n });
    expect(await reasonOf(stale)).toMatch(/^CONFLICT flag dark: it has generation 3, expected was 2/);
    expect(await reasonOf(harness.flags.applyFlag({ flag: dark(), expectedGeneration: 0n }))).toMatch(/^CONFLICT/);
    const both = await Promise.all(
      ["on", "off"].map((offVariant) =>
        reasonOf(harness.flags.applyFlag({ flag: dark({ offVariant }), expectedGeneration: generation })),
      ),
    );
    expect(both.map((reason) => reason.split(" ", 1)[0]).sort()).toEqual(["CONFLICT", "none"]);
  });

  it("names the field at fault, and flags that come near", async () => {
    const wrong = harness.flags.applyFlag({ flag: dark({ defaultVariant: "of" }) });
    expect(await reasonOf(wrong)).toContain("INVALID_FIELD flag.default_variant must be one of the variants (on, off)");
    const missing = harness.flags.getFlag({ name: "drak" });
    await expect(missing).rejects.toMatchObject({ reason: "FLAG_NOT_FOUND", hint: "did you mean dark?" });
  });

  it("explains who gets what", async () => {
    await harness.flags.applyFlag({ flag: dark({ rules: [ramp(4000)] }), reason: "as it was" });
    const [user = ""] = onUsers(await published((set) => onUsers(set).length > 150));
    const answer = await harness.flags.explainFlag({ name: "dark", attributes: { targetingKey: user } });
    expect(answer.evaluation).toMatchObject({
      variant: "on",
      reason: "SPLIT",
      rule: "ramp",
      value: { kind: { value: true } },
    });
    expect(answer.lines.at(-1)).toBe("served: on");
    const nobody = await harness.flags.explainFlag({ name: "dark" });
    expect(nobody.evaluation).toMatchObject({ reason: "ERROR", errorCode: "TARGETING_KEY_MISSING" });
  });

  it("lets viewers read and operators change", async () => {
    const token = async (role: Role, name: string) =>
      harness.client(FlagService, (await harness.tokens.createToken({ name, role })).token);
    const viewer = await token(Role.VIEWER, "vera");
    expect((await viewer.explainFlag({ name: "dark" })).lines.length).toBeGreaterThan(0);
    expect((await viewer.listFlagChanges({})).changes.length).toBeGreaterThan(0);
    expect(await reasonOf(viewer.applyFlag({ flag: dark() }))).toMatch(/^PERMISSION_DENIED/);
    expect(await reasonOf(viewer.deleteFlag({ name: "dark" }))).toMatch(/^PERMISSION_DENIED/);
    const operator = await token(Role.OPERATOR, "otto");
    const { flag } = await operator.applyFlag({ flag: dark({ disabled: true }), reason: "incident 7" });
    expect(flag?.updatedBy).toBe("otto");
    const [newest] = (await viewer.listFlagChanges({ flag: "dark" })).changes;
    expect(newest).toMatchObject({
      by: "otto",
      reason: "incident 7",
      before: { disabled: false },
      after: { disabled: true },
    });
    expect(newest?.at).toBeDefined();
  });

  it("deletes a flag and goes on counting when it is made anew; the trail has it all, also after a restart", async () => {
    await harness.flags.deleteFlag({ name: "dark", reason: "nobody asks for it" });
    await published((set) => [...set.names].length === 0);
    expect(await reasonOf(harness.flags.deleteFlag({ name: "dark" }))).toMatch(/^FLAG_NOT_FOUND/);
    await harness.stopController();
    await harness.startController();
    expect((await harness.flags.listFlags({})).flags).toEqual([]);
    await harness.flags.applyFlag({ flag: dark(), expectedGeneration: 0n, reason: "back" });
    const lines = await history("dark");
    expect(lines[0]).toMatch(/^dark ->\d+ created \(back\)$/);
    expect(lines[1]).toMatch(/^dark \d+>- deleted \(nobody asks for it\)$/);
    expect(lines.slice(-3)).toEqual([
      expect.stringContaining("2>3 rule ramp: everybody: on 10 %"),
      "dark 1>2 rule ramp: none -> everybody: on 10 %, off 90 % by targetingKey; description (ramp to 10 %)",
      "dark ->1 created (first try)",
    ]);
    const generations = lines.flatMap((line) => [...line.matchAll(/>(\d+)/g)].map((match) => Number(match[1])));
    expect(generations).toEqual([...new Set(generations)].sort((a, b) => b - a));
    expect(await history()).toEqual(lines);
  });

  it("pages through the trail", async () => {
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await harness.flags.listFlagChanges({ flag: "dark", pageSize: 2, pageToken });
      expect(page.changes.length).toBeLessThanOrEqual(2);
      ids.push(...page.changes.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(ids).toEqual([...new Set(ids)]);
    expect(ids.length).toBe((await history("dark")).length);
    expect(await reasonOf(harness.flags.listFlagChanges({ pageToken: "x" }))).toMatch(/^INVALID_PAGE_TOKEN/);
  });
});
