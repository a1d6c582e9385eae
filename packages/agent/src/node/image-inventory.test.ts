import { silentLogger, systemClock } from "@kedge/kernel";
import type { StoredImage } from "@kedge/runtime";
import { describe, expect, it } from "vitest";
import { ImageInventory } from "./image-inventory.ts";

/** An inventory of an engine that answers with `images`, on a clock that stands at `atMs`. */
function setUp() {
  const state = { atMs: 0, asked: 0, changes: 0, images: [] as StoredImage[], isDown: false };
  const inventory = new ImageInventory({
    clock: { ...systemClock, monotonic: () => state.atMs },
    logger: silentLogger,
    list: () => {
      state.asked += 1;
      return state.isDown ? Promise.reject(new Error("down")) : Promise.resolve(state.images);
    },
    onChange: () => {
      state.changes += 1;
    },
  });
  const refresh = async (afterMs: number): Promise<void> => {
    state.atMs += afterMs;
    inventory.refresh();
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { state, inventory, refresh };
}

const image = (name: string, bytes: number): StoredImage => ({ names: [name], bytes });

describe("ImageInventory", () => {
  it("asks every 30 s, and 2 s after work ended", async () => {
    const { state, inventory, refresh } = setUp();
    await refresh(0);
    await refresh(29_999);
    expect(state.asked).toBe(1);
    await refresh(1);
    expect(state.asked).toBe(2);
    inventory.touch();
    await refresh(1999);
    expect(state.asked).toBe(2);
    await refresh(1);
    await refresh(2000);
    expect(state.asked).toBe(3);
  });

  it("tells of changes only, and keeps what it knows while the engine is down", async () => {
    const { state, inventory, refresh } = setUp();
    state.images = [image("small:1", 1), image("large:1", 2)];
    await refresh(0);
    await refresh(30_000);
    expect(state.changes).toBe(1);
    expect([...inventory.bytes]).toEqual([
      ["large:1", 2n],
      ["small:1", 1n],
    ]);
    state.isDown = true;
    await refresh(30_000);
    expect([state.changes, inventory.bytes.size]).toEqual([1, 2]);
    state.isDown = false;
    state.images = [image("large:1", 3)];
    await refresh(30_000);
    expect([state.changes, [...inventory.bytes]]).toEqual([2, [["large:1", 3n]]]);
  });

  it("names the 100 largest, and no name that is endless", async () => {
    const { state, inventory, refresh } = setUp();
    state.images = [image("x".repeat(257), 1e9), ...Array.from({ length: 150 }, (_, i) => image(`i:${i}`, i))];
    await refresh(0);
    const names = [...inventory.bytes.keys()];
    expect(names).toHaveLength(100);
    expect([names[0], names[99]]).toEqual(["i:149", "i:50"]);
  });
});
