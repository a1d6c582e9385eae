import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { isRunEnded } from "@kedge/domain";
import { RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../setup/cluster.ts";
import { ended, outcome } from "../setup/runs.ts";
import { waitUntil } from "../setup/wait-for.ts";

const CALLS = 40;
/** The controller is killed when so many of the called runs are there, and when so many have ended. */
const KILLS = [
  { there: 1, ended: 0 },
  { there: CALLS, ended: 1 },
  { there: CALLS, ended: CALLS / 2 },
];

const CALLED = "name: called\njobs: { a: { steps: [{ run: 'true' }] }, b: { needs: [a], steps: [{ run: 'true' }] } }\n";
const CALLER = `name: caller
jobs:
${Array.from({ length: CALLS }, (_, i) => `  c${i}: { call: { pipeline: called } }\n`).join("")}  told:
    needs: [${Array.from({ length: CALLS }, (_, i) => `c${i}`).join(", ")}]
    notify: { receiver: hook, message: done }
`;

describe("calls and notices while the controller is killed", () => {
  let cluster: Cluster;
  let server: Server;
  const ids: string[] = [];
  let beforeAnswer = async (): Promise<void> => {};

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      request.resume();
      ids.push(String(request.headers["webhook-id"]));
      await beforeAnswer();
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cluster = await Cluster.start([{ name: "one" }]);
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const receiver = { name: "hook", allowPrivate: true, kind: { case: "webhook" as const, value: { url } } };
    await cluster.client.alerts.setAlertPolicy({ policy: { receivers: [receiver] } });
    await cluster.client.pipelines.applyPipeline({ source: CALLED });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  });

  it("calls each pipeline once, and tells at least once under one id", async () => {
    const { client, controller } = cluster;
    const called = async () => (await client.runs.listRuns({ pipeline: "called", pageSize: 100 })).runs;
    beforeAnswer = async () => {
      beforeAnswer = async () => {};
      await controller.kill("SIGKILL");
      controller.restart();
    };
    const { run } = await client.runs.submitRun({ pipeline: { case: "pipelineSource", value: CALLER } });
    for (const wanted of KILLS) {
      await waitUntil("it is time for a kill", async () => {
        const seen = (await called()).map(({ state }) => state);
        return { ok: seen.length >= wanted.there && seen.filter(isRunEnded).length >= wanted.ended, seen };
      });
      await controller.kill("SIGKILL");
      controller.restart();
    }
    const caller = await ended(cluster, run?.id ?? "", 120_000);
    expect(outcome(caller)).toBe("SUCCEEDED");
    const runs = await called();
    expect(runs.map(({ state }) => state)).toEqual(Array.from({ length: CALLS }, () => RunState.SUCCEEDED));
    const wanted = caller.jobs.flatMap(({ calledRunId }) => (calledRunId === "" ? [] : [calledRunId]));
    expect(runs.map(({ id }) => id).toSorted()).toEqual(wanted.toSorted());
    expect(ids.length).toBeGreaterThanOrEqual(2);
    expect(new Set(ids).size).toBe(1);
  });
});
