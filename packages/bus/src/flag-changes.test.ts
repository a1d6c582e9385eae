import { create } from "@bufbuild/protobuf";
import { FlagChangeSchema } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFlagChanges, recordFlagChange } from "./flag-changes.ts";
import { STREAMS } from "./subjects.ts";
import { startTestBus, type TestBus } from "./testing/test-bus.ts";

describe("the audit trail of flags", () => {
  let world: TestBus;
  const { signal } = new AbortController();
  beforeAll(async () => {
    world = await startTestBus();
  });
  afterAll(() => world.stop());

  const record = (flag: string, id: string, by = "ann"): Promise<void> =>
    recordFlagChange(world.bus, create(FlagChangeSchema, { flag, id, by }));
  const ids = async (options: { flag?: string; limit: number; before?: number }): Promise<string[]> =>
    (await readFlagChanges(world.bus, options, signal)).map(({ change }) => `${change.id} ${change.by}`);

  it("keeps the first of two lines under one id, and gives the newest first, by page", async () => {
    await record("ranker", "c1");
    await record("dark", "c2");
    await record("ranker", "c3");
    await record("ranker", "c1", "mallory");
    expect(await ids({ limit: 10 })).toEqual(["c3 ann", "c2 ann", "c1 ann"]);
    expect(await ids({ flag: "ranker", limit: 1 })).toEqual(["c3 ann"]);
    const [newest] = await readFlagChanges(world.bus, { flag: "ranker", limit: 1 }, signal);
    expect(await ids({ flag: "ranker", limit: 1, before: newest?.sequence ?? 0 })).toEqual(["c1 ann"]);
    expect(await ids({ flag: "none", limit: 1 })).toEqual([]);
    await expect(ids({ flag: "*", limit: 1 })).rejects.toThrow("cannot be part of a subject");
  });

  it("loses no line, also not on request", async () => {
    await expect(world.bus.manager.streams.purge(STREAMS.flagChanges)).rejects.toThrow();
    await expect(world.bus.manager.streams.deleteMessage(STREAMS.flagChanges, 1)).rejects.toThrow();
    expect(await ids({ flag: "dark", limit: 1 })).toEqual(["c2 ann"]);
  });
});
