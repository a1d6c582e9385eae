import { expect, test } from "vitest";
import { readAhead } from "./read-ahead.ts";

async function collected<T>(all: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of all) items.push(item);
  return items;
}

test("results come in order, whoever is done first, and few are begun early", async () => {
  const begun: number[] = [];
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const work = async (item: number): Promise<number> => {
    begun.push(item);
    await gates[item]?.promise;
    return item * 10;
  };
  const all = readAhead([0, 1, 2, 3, 4], work, 2);
  const first = all.next();
  gates[2]?.resolve();
  gates[1]?.resolve();
  gates[0]?.resolve();
  expect(await first).toEqual({ done: false, value: 0 });
  expect(begun).toEqual([0, 1, 2]);
  expect(await all.next()).toEqual({ done: false, value: 10 });
  gates[3]?.resolve();
  gates[4]?.resolve();
  expect(await collected(all)).toEqual([20, 30, 40]);
});

test("a failure comes in its place, and one that nobody waits for is no unhandled rejection", async () => {
  const work = (item: number): Promise<number> =>
    item > 0 ? Promise.reject(new Error(`no ${item}`)) : Promise.resolve(item);
  const all = readAhead([0, 1, 2], work, 3);
  expect(await all.next()).toEqual({ done: false, value: 0 });
  await expect(all.next()).rejects.toThrow("no 1");
  expect(await collected(readAhead([], work, 3))).toEqual([]);
});
