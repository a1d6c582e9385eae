import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { readFlagChanges } from "@kedge/bus";
import { systemClock } from "@kedge/kernel";
import { FlagRecordSchema, FlagSchema, FlagsSchema, FlagType } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { ALL_FLAGS, FlagPublisher } from "./flag-publisher.ts";
import { FlagWriter } from "./flag-writer.ts";

const FLAG = create(FlagSchema, {
  ...{ name: "dark", type: FlagType.BOOLEAN, description: "Dark mode.", defaultVariant: "on" },
  variants: { on: fromJson(ValueSchema, true) },
});

describe("after a controller that was killed", () => {
  let world: TestStores;
  let publisher: FlagPublisher;
  const { signal } = new AbortController();
  beforeAll(async () => {
    world = await startTestStores();
    publisher = new FlagPublisher(world);
  });
  afterAll(() => world.stop());

  const trail = async (flag: string): Promise<string[]> =>
    (await readFlagChanges(world.bus, { flag, limit: 10 }, signal)).map(({ change }) => change.reason);

  /** As it is when the flag was stored and nothing after that was done. */
  const leaveBehind = (name: string) =>
    world.stores.flagRecords.create(
      name,
      create(FlagRecordSchema, {
        flag: { ...FLAG, name, generation: 1n },
        change: { id: `c-${name}`, flag: name, by: "ann", reason: "unheard of", after: { ...FLAG, name } },
      }),
    );

  it("the next term puts the change into the trail, once, and the flag into the document", async () => {
    await leaveBehind("dark");
    expect(publisher.keys()).toEqual([FlagPublisher.DOCUMENT, "dark"]);
    for (const key of [...publisher.keys(), ...publisher.keys()]) await publisher.reconcile(key);
    expect(await trail("dark")).toEqual(["unheard of"]);
    const { value } = world.stores.flags.get(ALL_FLAGS) ?? {};
    expect(value).toMatchObject({ generation: 1n, flags: [{ name: "dark", description: "", updatedBy: "" }] });
  });

  it("the next change of the flag puts the one before into the trail first", async () => {
    await leaveBehind("light");
    const writer = new FlagWriter({ ...world, clock: systemClock });
    const origin = { by: "bob", reason: "second", expectedGeneration: 1n };
    await writer.apply(create(FlagSchema, { ...FLAG, name: "light", disabled: true }), origin);
    expect(await trail("light")).toEqual(["second", "unheard of"]);
  });

  it("an older document that another controller left is made good", async () => {
    const stored = world.stores.flags.get(ALL_FLAGS);
    await world.stores.flags.update(ALL_FLAGS, create(FlagsSchema, { generation: 1n }), stored?.revision ?? 0);
    await publisher.reconcile(FlagPublisher.DOCUMENT);
    const { value } = world.stores.flags.get(ALL_FLAGS) ?? {};
    expect(value?.flags.map(({ name, disabled }) => [name, disabled])).toEqual([
      ["dark", false],
      ["light", true],
    ]);
  });
});
