import { KedgeError } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import { expect, test } from "vitest";
import { retried } from "./resume.ts";

/** Time that passes by itself. */
const clock = { ...systemClock, sleep: () => Promise.resolve() };
const options = { clock, signal: undefined };

function failing(times: number, reason: "NOT_LEADER" | "RUN_NOT_FOUND") {
  let calls = 0;
  const call = async (): Promise<number> => {
    calls += 1;
    if (calls <= times) throw new KedgeError(reason, `call ${calls}`);
    return calls;
  };
  return call;
}

test("a call is made again while the server is away, a few times", async () => {
  expect(await retried(failing(7, "NOT_LEADER"), options)).toBe(8);
  await expect(retried(failing(8, "NOT_LEADER"), options)).rejects.toMatchObject({ message: "call 8" });
});

test("what a retry does not help fails at once", async () => {
  await expect(retried(failing(1, "RUN_NOT_FOUND"), options)).rejects.toMatchObject({ message: "call 1" });
});

test("a pause ends with the signal", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(retried(failing(1, "NOT_LEADER"), { clock: systemClock, signal })).rejects.toThrow("enough");
});
