import fc from "fast-check";
import { expect, test } from "vitest";
import { WorkQueue } from "./work-queue.ts";

test("a key added many times while it waits comes out once, in order of arrival", async () => {
  const queue = new WorkQueue();
  for (const key of ["a", "b", "a"]) queue.add(key);
  expect(queue.size).toBe(2);
  expect([await queue.take(), await queue.take()]).toEqual(["a", "b"]);
});

test("a key added while it is worked on comes out again afterwards, not before", async () => {
  const queue = new WorkQueue();
  queue.add("a");
  await queue.take();
  queue.add("a");
  queue.add("b");
  expect(await queue.take()).toBe("b");
  expect(queue.size).toBe(0);
  queue.done("a");
  expect(await queue.take()).toBe("a");
  queue.done("a");
  expect(queue.size).toBe(0);
});

test("closing ends every wait and drops what is queued", async () => {
  const queue = new WorkQueue();
  const waits = [queue.take(), queue.take(), queue.take()];
  queue.close();
  expect(await Promise.all(waits)).toEqual([undefined, undefined, undefined]);
  queue.add("a");
  expect(await queue.take()).toBeUndefined();
});

test("with several workers no key runs twice at once and none is lost", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 30 }),
      fc.scheduler(),
      async (workers, keys, scheduler) => {
        const queue = new WorkQueue();
        const running = new Set<string>();
        const seen = new Map<string, number>();
        const added = new Map<string, number>();
        const work = async (): Promise<void> => {
          for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
            expect(running.has(key)).toBe(false);
            running.add(key);
            // Work sees everything added before it starts.
            seen.set(key, added.get(key) ?? 0);
            await scheduler.schedule(Promise.resolve());
            running.delete(key);
            queue.done(key);
          }
        };
        const all = Array.from({ length: workers }, work);
        const adding = async (): Promise<void> => {
          for (const key of keys) {
            added.set(key, (added.get(key) ?? 0) + 1);
            queue.add(key);
            await scheduler.schedule(Promise.resolve());
          }
        };
        await scheduler.waitFor(adding());
        await scheduler.waitIdle();
        expect(seen).toEqual(added);
        queue.close();
        await Promise.all(all);
      },
    ),
  );
});
