import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Admission } from "./admission.ts";

const never = new AbortController().signal;

describe("Admission", () => {
  it("never lets more work than it may, serves in order and ends empty", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 12 }),
        async (concurrency, requests) => {
          const admission = new Admission({ concurrency, queueLimit: requests });
          const order: number[] = [];
          let working = 0;
          const work = async (index: number) => {
            const exit = admission.enter();
            const done = await admission.turn(never);
            working++;
            order.push(index);
            expect(working).toBeLessThanOrEqual(concurrency);
            await Promise.resolve();
            working--;
            done();
            exit();
            exit();
          };
          await Promise.all(Array.from({ length: requests }, (_, index) => work(index)));
          expect(order).toEqual(Array.from({ length: requests }, (_, index) => index));
          expect(admission.inside).toBe(0);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("refuses what exceeds work and queue", () => {
    const admission = new Admission({ concurrency: 1, queueLimit: 1 });
    admission.enter();
    const leave = admission.enter();
    expect(() => admission.enter()).toThrow(expect.objectContaining({ reason: "QUEUE_FULL" }));
    leave();
    expect(() => admission.enter()).not.toThrow();
  });

  it("takes a waiting request out of the queue when its signal aborts", async () => {
    const admission = new Admission({ concurrency: 1, queueLimit: 2 });
    const done = await admission.turn(never);
    const gone = new AbortController();
    const waiting = admission.turn(gone.signal);
    const next = admission.turn(never);
    gone.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    done();
    (await next)();
    expect(await admission.turn(never)).toBeTypeOf("function");
  });
});
