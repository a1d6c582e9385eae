import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { getHookBody, purgeHookBodies, putHookBody } from "./hook-bodies.ts";
import { startTestBus, type TestBus } from "./testing/test-bus.ts";

describe("bodies of webhook deliveries", () => {
  let world: TestBus;
  beforeAll(async () => {
    world = await startTestBus();
  });
  afterAll(() => world.stop());
  const digest = (bytes: Uint8Array | undefined) => bytes && createHash("sha256").update(bytes).digest("hex");

  it("come back whole, however large, and go with their repository", async () => {
    const { bus } = world;
    const big = Buffer.alloc(3 * 1024 * 1024 + 7, "abcdefg");
    const name = { repository: "shop", id: "d1" };
    const parts = await putHookBody(bus, name, big);
    expect(parts).toBe(7);
    expect(digest(await getHookBody(bus, name, parts))).toBe(digest(big));
    expect(await putHookBody(bus, { repository: "shop", id: "d2" }, new Uint8Array())).toBe(1);
    expect(await getHookBody(bus, { repository: "shop", id: "d2" }, 1)).toHaveLength(0);
    await putHookBody(bus, { repository: "shop-2", id: "d1" }, Buffer.from("x"));
    await purgeHookBodies(bus, "shop");
    expect(await getHookBody(bus, name, parts)).toBeUndefined();
    expect(await getHookBody(bus, { repository: "shop-2", id: "d1" }, 1)).toHaveLength(1);
  });

  it("take no repository that would be another subject", async () => {
    await expect(putHookBody(world.bus, { repository: "a.>", id: "x" }, new Uint8Array())).rejects.toThrow(
      "cannot be part of a subject",
    );
  });
});
