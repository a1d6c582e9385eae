import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, service, TestBed } from "./testing/test-bed.ts";

let bed: TestBed;
beforeEach(() => {
  bed = new TestBed();
});
afterEach(() => bed.close());

const onlyOk = (count: number) => new Map([[200, count]]);

describe("routing", () => {
  test("by model path, header and prefix; everything else gets a JSON answer", async () => {
    const gateway = await bed.gateway();
    await gateway.apply([
      service({ 1: 10_000 }, [await bed.replica("r1", 1)]),
      service({ 1: 10_000 }, [], { deployment: "empty" }),
    ]);
    expect((await bed.get(gateway, "/v2/models/m")).body).toBe("r1 /v2/models/m");
    expect((await bed.get(gateway, "/v2/models/m/infer?a=1")).body).toBe("r1 /v2/models/m/infer?a=1");
    expect((await bed.get(gateway, "/d/m/x/y?q=1")).body).toBe("r1 /x/y?q=1");
    expect((await bed.get(gateway, "/d/m")).body).toBe("r1 /");
    expect((await bed.get(gateway, "/any", { "kedge-deployment": "m" })).body).toBe("r1 /any");
    for (const path of ["/", "/v2/models/no/infer", "/v2/models/", "/d/", "/v2/models/s0:1", "/v2/models/m%20"]) {
      const answer = await bed.get(gateway, path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(JSON.parse(answer.body).error).toBeTypeOf("string");
    }
    const unready = await bed.get(gateway, "/v2/models/empty/infer");
    expect(unready.status).toBe(503);
    expect(unready.headers["retry-after"]).toBe("1");
    expect(JSON.parse(unready.body).error).toBeTypeOf("string");
    expect((await bed.get(gateway, "/v2/health/live")).body).toBe('{"live":true}');
    expect((await bed.get(gateway, "/v2/health/ready")).status).toBe(200);
  });

  test("refuses services that would write their own configuration", async () => {
    const gateway = await bed.gateway();
    const endpoint = await bed.replica("r1", 1);
    const bad = [
      service({}, [{ ...endpoint, host: "127.0.0.1;shutdown" }]),
      service({}, [endpoint], { deployment: "m s1:1\nx" }),
      service({}, [endpoint, endpoint]),
      service({}, [{ ...endpoint, port: 0 }]),
    ];
    for (const one of bad)
      expect(() => gateway.apply([one])).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
  });
});

describe("split", () => {
  test("is within four standard errors over 4000 requests, and every request is counted once", async () => {
    const gateway = await bed.gateway();
    const old = await Promise.all([1, 2, 3].map((i) => bed.replica(`old-${i}`, 1)));
    const canary = await bed.replica("new-1", 2);
    await gateway.apply([service({ 1: 9_300, 2: 700 }, [...old, canary])]);
    expect(await bed.load(gateway, 4000)).toEqual(onlyOk(4000));
    expect(Math.abs(canary.served() / 4000 - 0.07)).toBeLessThan(4 * Math.sqrt((0.07 * 0.93) / 4000));
    const served = { 1: 4000 - canary.served(), 2: canary.served() };
    const seen = await eventually(
      () => bed.windows.flatMap((window) => window.revisions).reduce((sum, revision) => sum + revision.requests, 0),
      (sum) => sum >= 4000,
    );
    expect(seen).toBe(4000);
    expect(gateway.stats().deployments[0]?.revisions).toEqual([
      { revision: 1, basisPoints: 9_300, requests: served[1], errors: 0 },
      { revision: 2, basisPoints: 700, requests: served[2], errors: 0 },
    ]);
    expect(gateway.stats().unattributed).toBe(0);
    const counted = bed.windows
      .flatMap((window) => window.revisions)
      .flatMap((revision) => revision.latencyMs?.counts ?? []);
    expect(counted.reduce((a, b) => a + b, 0)).toBe(4000);
  });

  test("a revision without a ready endpoint leaves its share to the stable one", async () => {
    const gateway = await bed.gateway();
    const old = await bed.replica("old", 1);
    await gateway.apply([service({ 1: 5_000, 2: 5_000 }, [old], { generation: 7n })]);
    const [applied] = gateway.appliedRoutes();
    expect(applied).toMatchObject({ deployment: "m", generation: 7n, basisPoints: { 1: 10_000 } });
    expect(await bed.load(gateway, 50)).toEqual(onlyOk(50));
  });
});

describe("changes under load", () => {
  test("weights change, endpoints come and go, and no request fails; no request reaches a removed endpoint", async () => {
    const gateway = await bed.gateway();
    const old = [await bed.replica("old-1", 1), await bed.replica("old-2", 1)];
    const canary = await bed.replica("new-1", 2);
    await gateway.apply([service({ 1: 10_000 }, old)]);
    const load = bed.load(gateway, 3000);
    for (let i = 1; i <= 30; i++) {
      const share = (i * 997) % 10_000;
      const endpoints = i % 3 === 0 ? [...old, canary] : i % 3 === 1 ? [...old.slice(1), canary] : old;
      await gateway.apply([service({ 1: 10_000 - share, 2: share }, endpoints)]);
    }
    await gateway.apply([service({ 1: 10_000 }, old)]);
    await eventually(
      () => gateway.inFlight("new-1"),
      (requests) => requests === 0,
    );
    await canary.close();
    expect(await load).toEqual(onlyOk(3000));
    expect(gateway.stats()).toMatchObject({ reloads: 0, starts: 1, unattributed: 0 });
  });

  test("slots are used again, and more endpoints or deployments than there is room for cost a reload, not a request", async () => {
    const gateway = await bed.gateway({ capacity: { backends: 1, serversPerBackend: 2 } });
    const replicas = await Promise.all([1, 2, 3, 4, 5].map((i) => bed.replica(`r${i}`, i)));
    const first = replicas.slice(0, 1);
    await gateway.apply([service({ 1: 10_000 }, first)]);
    for (const replica of replicas.slice(1)) {
      await eventually(
        () => gateway.inFlight(replica.replicaId),
        (requests) => requests === 0,
      );
      await gateway.apply([service({ [replica.revision]: 10_000 }, [replica])]);
      expect((await bed.get(gateway, "/v2/models/m")).body).toContain(replica.replicaId);
    }
    expect(gateway.stats().reloads).toBe(0);
    const load = bed.load(gateway, 1500, { retries: true });
    const all = service({ 1: 5_000, 2: 5_000 }, replicas);
    await gateway.apply([all]);
    await gateway.apply([all, service({ 1: 10_000 }, first, { deployment: "other" })]);
    const statuses = await load;
    expect(statuses).toEqual(onlyOk(1500));
    expect(gateway.stats().reloads).toBe(2);
    await eventually(
      () => bed.get(gateway, "/v2/models/other", { connection: "close" }),
      (answer) => answer.status === 200,
    );
    await eventually(
      () => gateway.inFlight("r1"),
      (requests) => requests === 0,
    );
    expect(gateway.stats().unattributed).toBe(0);
  });

  test("a replica that dies costs no request while another is ready", async () => {
    const gateway = await bed.gateway();
    const replicas = [await bed.replica("a", 1), await bed.replica("b", 1)];
    await gateway.apply([service({ 1: 10_000 }, replicas)]);
    await replicas[0]?.close();
    expect(await bed.load(gateway, 200)).toEqual(onlyOk(200));
    await eventually(
      () => gateway.stats().deployments[0]?.redispatched ?? 0,
      (count) => count > 0,
    );
  });
});

describe("faults", () => {
  test("HAProxy killed: it comes back with the routes it had", async () => {
    const gateway = await bed.gateway();
    await gateway.apply([service({ 1: 10_000 }, [await bed.replica("a", 1)])]);
    const before = haproxyPid();
    process.kill(before, "SIGKILL");
    await eventually(
      () => bed.get(gateway, "/v2/models/m"),
      (answer) => answer.status === 200,
    );
    await eventually(haproxyPid, (pid) => pid !== before);
    expect(gateway.stats().starts).toBe(2);
    await gateway.apply([service({ 1: 10_000 }, [await bed.replica("b", 1)])]);
    expect((await bed.get(gateway, "/v2/models/m")).body).toContain("b ");
  });

  test("the process that started HAProxy is killed: the next one takes HAProxy over", async () => {
    const replica = await bed.replica("a", 1);
    const script = join(import.meta.dirname, "testing/serve-until-killed.ts");
    const host = spawn("node", ["-C", "kedge-source", script, bed.dir, String(replica.port)], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    bed.onClose(async () => host.kill("SIGKILL"));
    await once(host.stdout, "data");
    const pid = haproxyPid();
    host.kill("SIGKILL");
    await once(host, "exit");
    const gateway = await bed.gateway();
    expect(haproxyPid()).toBe(pid);
    expect(gateway.stats()).toMatchObject({ starts: 0, reloads: 0 });
    expect(await bed.load(gateway, 100)).toEqual(onlyOk(100));
    const counted = () => gateway.stats().deployments[0]?.revisions[0]?.requests ?? 0;
    expect(await eventually(counted, (count) => count >= 100)).toBe(100);
  });

  test("left serving: requests meanwhile are answered, and counted by the next process", async () => {
    const first = await bed.gateway();
    const replica = await bed.replica("a", 1);
    await first.apply([service({ 1: 10_000 }, [replica])]);
    const pid = haproxyPid();
    await first.stop({ keepServing: true });
    expect(await bed.load(first, 300)).toEqual(onlyOk(300));
    const second = await bed.gateway();
    expect(second.address).toBe(first.address);
    expect(haproxyPid()).toBe(pid);
    expect(second.stats()).toMatchObject({ starts: 0, reloads: 0 });
    expect(second.appliedRoutes()).toMatchObject([{ deployment: "m", basisPoints: { 1: 10_000 } }]);
    const counted = () => second.stats().deployments[0]?.revisions[0]?.requests ?? 0;
    expect(await eventually(counted, (count) => count >= 300)).toBe(300);
    await second.apply([service({ 1: 10_000 }, [replica])]);
    expect(await bed.load(second, 50)).toEqual(onlyOk(50));
    expect(await eventually(counted, (count) => count >= 350)).toBe(350);
  });
});

describe("what is counted", () => {
  test("requests during a stall of the event loop, every one once; none is lost", async () => {
    const gateway = await bed.gateway();
    const script = join(import.meta.dirname, "testing/send-requests.ts");
    await gateway.apply([service({ 1: 10_000 }, [await standingReplica()])]);
    await bed.get(gateway, "/v2/models/m");
    await bed.get(gateway, "/nowhere");
    await connectAndLeave(gateway.address);
    const client = spawn("node", [script, gateway.address, "3000"], { stdio: "ignore" });
    const exited = once(client, "exit");
    bed.onClose(async () => client.kill("SIGKILL"));
    // Nothing of this process runs meanwhile: it reads no log line, as when the host is starved.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
    expect(await exited).toEqual([0, null]);
    const requests = () => gateway.stats().deployments[0]?.revisions[0]?.requests ?? 0;
    expect(await eventually(requests, (count) => count >= 3001)).toBe(3001);
    expect(gateway.stats()).toMatchObject({ lost: 0, unattributed: 0 });
  });

  test("errors, labels and hostile header values", async () => {
    const gateway = await bed.gateway();
    const labels = ["cat", "dog", 'a, "b\\" %0a {', "x".repeat(200), "__proto__", "\u00ff\u00fe"];
    const replica = await bed.replica("a", 1, (req, res) => {
      const n = Number(/n=(\d+)/.exec(req.url ?? "")?.[1]);
      if (n === 90) return res.writeHead(500).end();
      if (n === 91) return res.destroy();
      const label = labels[n];
      if (label !== undefined) res.setHeader("kedge-prediction", label);
      return res.writeHead(n === 92 ? 404 : 200).end();
    });
    await gateway.apply([service({ 1: 10_000 }, [replica], { windowMs: 20 })]);
    for (const n of [0, 0, 1, 2, 3, 4, 5, 90, 91, 92]) {
      await bed.get(gateway, `/v2/models/m/infer?n=${n}`, { connection: "close" });
    }
    const revision = () => gateway.stats().deployments[0]?.revisions[0];
    const total = await eventually(revision, (stats) => stats?.requests === 10);
    expect(total).toMatchObject({ requests: 10, errors: 2 });
    await eventually(
      () => bed.windows.flatMap((w) => w.revisions).reduce((n, r) => n + r.requests, 0),
      (n) => n === 10,
    );
    const predictions = new Map<string, number>();
    for (const { revisions } of bed.windows) {
      for (const [label, count] of revisions.flatMap((r) => Object.entries(r.predictions))) {
        predictions.set(label, (predictions.get(label) ?? 0) + count);
      }
    }
    expect(predictions.get("cat")).toBe(2);
    expect(predictions.get('a, "b\\" %0a {')).toBe(1);
    expect(predictions.get("x".repeat(64))).toBe(1);
    expect(predictions.get("__proto__")).toBe(1);
    expect([...predictions.values()].reduce((a, b) => a + b, 0)).toBe(7);
  });
});

/** A connection without a request, as port scanners make; HAProxy logs it without a route. */
async function connectAndLeave(address: string): Promise<void> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  await once(socket, "connect");
  socket.destroy();
}

/** A replica in a process of its own, which answers while this one does not run. */
async function standingReplica() {
  const script = join(import.meta.dirname, "testing/standing-replica.ts");
  const child = spawn("node", [script], { stdio: ["ignore", "pipe", "ignore"] });
  bed.onClose(async () => child.kill("SIGKILL"));
  const [port] = await once(child.stdout, "data");
  return { replicaId: "r1", revision: 1, host: "127.0.0.1", port: Number(port) };
}

function haproxyPid(): number {
  return JSON.parse(readFileSync(join(bed.dir, "process.json"), "utf8")).pid;
}
