import { Agent, type IncomingMessage, type ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, service, sum, TestBed, tolerance } from "./testing/test-bed.ts";

const PATH = "/v2/models/m/infer";
let bed: TestBed;
beforeEach(() => {
  bed = new TestBed();
});
afterEach(() => bed.close());

describe("counting", () => {
  test("a revision that closes connections fails no user, and every request meant for it is its error", async () => {
    const gateway = await bed.gateway();
    const good = await bed.replica("good", 1);
    const closing = await bed.replica("closing", 2, (_, res) => res.destroy());
    await gateway.apply([service({ 1: 7_000, 2: 3_000 }, [good, closing], { windowMs: 20 })]);
    expect(await bed.load(gateway, 1_000)).toEqual(new Map([[200, 1_000]]));
    await eventually(
      () => bed.counted(1) + bed.counted(2),
      (count) => count === 1_000,
    );
    const arms = bed.windows.flatMap(({ revisions }) => revisions);
    const errors = (revision: number) => sum(arms.filter((arm) => arm.revision === revision).map((arm) => arm.errors));
    expect(Math.abs(bed.counted(2) / 1_000 - 0.3)).toBeLessThan(tolerance(0.3, 1_000));
    expect([errors(1), errors(2)]).toEqual([0, bed.counted(2)]);
    const retried = bed.windows.flatMap(({ revisions }) => revisions).filter((arm) => arm.revision === 2);
    expect(sum(retried.map((arm) => arm.retried))).toBe(bed.counted(2));
  });

  test.each([
    ["two revisions", { 1: 5_000, 2: 5_000 }],
    ["one revision", { 2: 10_000 }],
  ])("%s: requests on kept-alive connections that nobody answers are errors too, each once", async (_, splits) => {
    const gateway = await bed.gateway();
    // Both die of the same request, so that no try is answered.
    const dies = (req: IncomingMessage, res: ServerResponse) => {
      if (req.headers["x-poison"]) req.socket.destroy();
      else res.end("ok");
    };
    const endpoints = await Promise.all([1, 2].map((revision) => bed.replica(`r${revision}`, revision, dies)));
    await gateway.apply([service(splits, endpoints, { windowMs: 20 })]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    bed.onClose(async () => agent.destroy());
    // The first audit settles what was before.
    await bed.load(gateway, 8);
    await eventually(
      () => gateway.stats().audits,
      (audits) => audits > 0,
    );
    const sent = 30;
    let silent = 0;
    for (let i = 0; i < sent; i++) {
      expect((await bed.get(gateway, PATH, {}, agent)).status).toBe(200);
      const { status } = await bed.get(gateway, PATH, { "x-poison": "1" }, agent);
      if (status === 0) silent++;
      else expect(status).toBe(502);
    }
    expect(silent).toBeGreaterThan(sent / 2);
    const all = 2 * sent + 8;
    const stats = await eventually(
      () => gateway.stats().deployments[0],
      (each) => each?.silent === silent && sum(each.revisions.map(({ requests }) => requests)) === all,
    );
    expect(sum(stats?.revisions.map((each) => each.errors) ?? [])).toBe(sent);
    const failed = () => sum(bed.windows.flatMap(({ revisions }) => revisions.map((arm) => arm.errors)));
    await eventually(
      () => [bed.counted(1) + bed.counted(2), failed()],
      (counts) => counts[0] === all && counts[1] === sent,
    );
    await bed.load(gateway, 50);
    await eventually(
      () => bed.counted(1) + bed.counted(2),
      (count) => count === all + 50,
    );
    expect(gateway.stats().deployments[0]?.silent).toBe(silent);
  });

  test.each([{ seconds: 1 }, { requests: 40 }, { seconds: 1, requests: 40 }])(
    "a replica that is warming up (%j) serves without being judged, and is judged when it is warm",
    async (warmUp) => {
      const gateway = await bed.gateway();
      const old = await bed.replica("old", 1);
      await gateway.apply([service({ 1: 10_000 }, [old], { windowMs: 20 })]);
      await bed.load(gateway, 20);
      await eventually(
        () => bed.counted(1),
        (count) => count === 20,
      );
      const current = await bed.replica("new", 2);
      await gateway.apply([service({ 1: 5_000, 2: 5_000 }, [old, current], { windowMs: 20, rules: { warmUp } })]);
      await bed.load(gateway, 40);
      const warming = () => sum(bed.windows.flatMap(({ revisions }) => revisions.map((arm) => arm.warming)));
      await eventually(
        () => warming() + bed.counted(1),
        (count) => count === 60,
      );
      expect(bed.counted(2)).toBe(0);
      expect(current.served()).toBeGreaterThan(0);
      await eventually(
        async () => {
          await bed.load(gateway, 10);
          return bed.counted(2);
        },
        (count) => count > 0,
      );
      const judged = bed.windows.find(({ revisions }) =>
        revisions.some((arm) => arm.revision === 2 && arm.requests > 0),
      );
      expect(judged?.revisions.map((arm) => arm.basisPoints)).toEqual([5_000, 5_000]);
      expect(warming()).toBeGreaterThanOrEqual(warmUp.requests ?? 1);
    },
  );
});
