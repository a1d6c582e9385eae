// Throughput of Kedge's HAProxy (logging on, windows computed) in front of the same backend as two others: a bare one, and
// a bare one with HAProxy's own httplog, into a ring and from there to a Unix socket, as Kedge's. Kedge serves several
// deployments, which differ in what is done for a request. Then split error, failures under change, and how fast a
// change takes effect. Needs haproxy and wrk. Rounds are short and interleaved; on a machine that does other things,
// processor time a request says more than the rate.
//   node -C kedge-source bench/throughput.mjs [seconds a round] [rounds]
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { Gateway } from "@kedge/gateway";
import { silentLogger, systemClock } from "@kedge/kernel";
import { MatchKind, RequestSource, RouteSchema } from "@kedge/proto";

const SECONDS = Number(process.argv[2] ?? 1);
const ROUNDS = Number(process.argv[3] ?? 9);
const PATH = "/v2/models/m/infer";
const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), "kedge-gw-bench-"));
const children = [];
const logSink = createTcpServer((socket) => socket.resume());
const mirrored = { made: 0, left: 0, compared: 0 };
let counted = 0;
const key = { source: RequestSource.HEADER, name: "x-user" };
/** What Kedge's deployments do for a request, besides routing and counting it. */
const KINDS = {
  plain: { label: "one revision" },
  split: { label: "two revisions", splits: { 1: 5_000, 2: 5_000 } },
  sticky: { label: "two revisions by user", splits: { 1: 5_000, 2: 5_000 }, rules: { sticky: { key, salt: "s" } } },
  match: {
    label: "two revisions and a match rule",
    splits: { 1: 5_000, 2: 5_000 },
    rules: { matches: [{ match: { key, kind: MatchKind.EXACT, values: ["nobody"] }, revision: 2 }] },
  },
  mirror: { label: "one revision, a tenth mirrored", rules: { mirrors: [{ revision: 2, basisPoints: 1_000 }] } },
};

const gateway = new Gateway({
  dir: join(dir, "gateway"),
  listen: { host: "127.0.0.1", port: 0 },
  nodeId: "bench",
  bootId: "bench",
  clock: systemClock,
  logger: silentLogger,
  threads: 1,
  onWindow: (window) => {
    for (const revision of [...window.revisions, ...window.matched]) counted += revision.requests;
    for (const shadow of window.shadows) {
      mirrored.made += shadow.answers.requests;
      mirrored.left += shadow.busy + shadow.tooLarge;
      mirrored.compared += shadow.compared;
    }
  },
});
try {
  await gateway.start(new AbortController().signal);
  await throughput();
  await splitAndChanges();
} finally {
  await gateway.stop();
  for (const child of children) child.kill("SIGKILL");
  logSink.close();
  rmSync(dir, { recursive: true, force: true });
}

async function throughput() {
  const [backend, bare, httplog] = [await freePort(), await freePort(), await freePort()];
  haproxy(
    "backend",
    `frontend b\n  bind 127.0.0.1:${backend}\n  http-request return status 200 content-type application/json string '{"outputs":[]}' hdr kedge-prediction cat\n`,
  );
  const proxies = (port) =>
    `frontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  server s 127.0.0.1:${backend}\n`;
  const sink = join(dir, "sink.sock");
  await new Promise((resolve) => logSink.listen(sink, resolve));
  const kedge = JSON.parse(readFileSync(join(dir, "gateway/process.json"), "utf8")).pid;
  const kinds = Object.keys(KINDS);
  const pids = {
    bare: haproxy("bare", proxies(bare)),
    httplog: haproxy(
      "httplog",
      `  log global\n  option httplog\n${proxies(httplog)}ring requests\n  format rfc5424\n  maxlen 1024\n  size 16777216\n  timeout connect 1s\n  timeout server 24h\n  server sink unix@${sink} log-proto octet-count\n`,
      "  log ring@requests format rfc5424 local0\n",
    ),
    ...Object.fromEntries(kinds.map((kind) => [kind, kedge])),
  };
  const endpoint = (revision) => ({ replicaId: `r${revision}`, revision, host: "127.0.0.1", port: backend });
  await gateway.apply(
    kinds.map((deployment) => {
      const { splits = { 1: 10_000 }, rules } = KINDS[deployment];
      return service(splits, [endpoint(1), endpoint(2)], { deployment, rules });
    }),
  );
  await Promise.all([backend, bare, httplog].map(reachable));
  const targets = {
    bare: `http://127.0.0.1:${bare}${PATH}`,
    httplog: `http://127.0.0.1:${httplog}${PATH}`,
    ...Object.fromEntries(kinds.map((kind) => [kind, `http://${gateway.address}/v2/models/${kind}/infer`])),
  };
  for (const url of Object.values(targets)) await wrk(url, 1);
  await settled();
  report(await rounds(targets, pids));
  await mirrorLatency(endpoint);
}

/** What being copied adds to a user's request on a gateway that has time: one request after the other, alternating. */
async function mirrorLatency(endpoint) {
  const endpoints = [endpoint(1), endpoint(2)];
  const rules = { mirrors: [{ revision: 2, basisPoints: 10_000 }] };
  await gateway.apply([
    service({ 1: 10_000 }, endpoints, { deployment: "plain" }),
    service({ 1: 10_000 }, endpoints, { deployment: "mirror", rules }),
  ]);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times = { plain: [], mirror: [] };
  for (let i = 0; i < 600; i++) {
    for (const deployment of ["plain", "mirror"]) {
      const began = performance.now();
      assert.equal(await get(agent, `/v2/models/${deployment}/infer`), 200);
      times[deployment].push(performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
  agent.destroy();
  const [plain, mirror] = [median(times.plain), median(times.mirror)];
  print(
    "a request of which a copy is made",
    `takes ${mirror.toFixed(2)} ms, one without ${plain.toFixed(2)} ms (medians)`,
  );
}

/** Interleaved rounds; rates and microseconds of processor time a request, by target. */
async function rounds(targets, pids) {
  const names = Object.keys(targets);
  const rates = Object.fromEntries(names.map((name) => [name, []]));
  const cpu = Object.fromEntries(names.map((name) => [name, []]));
  const before = counted;
  let sent = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const cpuBefore = cpuMicrosOf(pids[name]);
      const result = await wrk(targets[name], SECONDS);
      rates[name].push(result.rate);
      cpu[name].push((cpuMicrosOf(pids[name]) - cpuBefore) / result.requests);
      if (name in KINDS) sent += result.requests;
      // Copies that are still under way are not the next round's.
      if (name === "mirror") await settled();
    }
  }
  await settled();
  const surplus = counted - before - sent;
  // wrk leaves its last requests, one a connection, without waiting; they may be counted or not.
  assert(surplus >= 0 && surplus <= 32 * ROUNDS * Object.keys(KINDS).length, `counted ${counted - before} of ${sent}`);
  assert.equal(gateway.stats().unattributed, 0);
  assert.equal(gateway.stats().lost, 0);
  return { rates, cpu, sent };
}

function report({ rates, cpu, sent }) {
  print(
    "rounds",
    `${ROUNDS} x ${SECONDS} s each, interleaved; medians; ${sent} requests of Kedge all logged and counted`,
  );
  for (const [name, label] of [
    ["bare", "bare HAProxy, no log"],
    ["httplog", "bare HAProxy, httplog"],
    ...Object.entries(KINDS).map(([kind, { label }]) => [kind, `Kedge, ${label}`]),
  ]) {
    const ratios = ["bare", "httplog"].map((peer) => {
      const rate = median(rates[name].map((each, i) => each / rates[peer][i]));
      return `${rate.toFixed(3)} of ${peer} (for the same processor time ${(median(cpu[peer]) / median(cpu[name])).toFixed(3)})`;
    });
    print(
      label,
      `${Math.round(median(rates[name]))} req/s, ${median(cpu[name]).toFixed(1)} us of processor time a request; ${ratios.join(", ")}`,
    );
  }
  const { made, left, compared } = mirrored;
  print("mirrored", `${made} copies answered, ${compared} compared, ${left} not made as too many were under way`);
}

/** Processor time of a process with one thread, as the scheduler counted it: nanoseconds in /proc. */
function cpuMicrosOf(pid) {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ")[0]) / 1000;
}

async function splitAndChanges() {
  const old = [await replica("old-1", 1), await replica("old-2", 1), await replica("old-3", 1)];
  const canary = [await replica("new-1", 2), await replica("new-2", 2)];
  const all = [...old, ...canary];
  for (const share of [100, 700, 2_500, 5_000]) {
    await gateway.apply([service({ 1: 10_000 - share, 2: share }, all)]);
    const hits = canary[0].hits + canary[1].hits;
    const statuses = await load(10_000);
    assert.deepEqual([...statuses], [[200, 10_000]]);
    const error = (canary[0].hits + canary[1].hits - hits) / 100 - share / 100;
    const standardError = Math.sqrt((share * (10_000 - share)) / 10_000) / 100;
    assert(Math.abs(error) <= 4 * standardError);
    print(
      `split ${share / 100} %`,
      `off by ${error.toFixed(2)} points over 10,000 requests, ${(Math.abs(error) / standardError).toFixed(1)} standard errors`,
    );
  }
  let isLoading = true;
  const loading = load(10_000).finally(() => {
    isLoading = false;
  });
  const times = [];
  for (let i = 1; isLoading; i++) {
    const share = (i * 997) % 10_000;
    const began = performance.now();
    await gateway.apply([service({ 1: 10_000 - share, 2: share }, all.slice(i % 3, all.length - (i % 2)))]);
    times.push(performance.now() - began);
  }
  assert.deepEqual([...(await loading)], [[200, 10_000]]);
  assert.equal(gateway.stats().reloads, 0);
  print(
    "changes under load",
    `${times.length} applies, 0 of 10,000 requests failed; apply() takes ${median(times).toFixed(1)} ms (median)`,
  );
  const cuts = [];
  for (let i = 0; i < 20; i++) cuts.push(await cutOver(all, canary));
  print(
    "apply() to last request on the old revision",
    `median ${median(cuts).toFixed(1)} ms, worst of 20: ${Math.max(...cuts).toFixed(1)} ms`,
  );
}

/** Milliseconds from the call of apply() until the last request reaches the revision that lost its share. */
async function cutOver(all, canary) {
  await gateway.apply([service({ 1: 5_000, 2: 5_000 }, all)]);
  const loading = load(1_500);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert(canary.some((one) => one.hits > 0));
  const began = performance.now();
  await gateway.apply([service({ 1: 10_000, 2: 0 }, all)]);
  assert.deepEqual([...(await loading)], [[200, 1_500]]);
  return Math.max(0, ...canary.map((one) => one.lastHit - began));
}

function service(splits, endpoints, { deployment = "m", rules = {} } = {}) {
  const entries = Object.entries(splits).map(([revision, basisPoints]) => ({
    revision: Number(revision),
    basisPoints,
  }));
  const route = create(RouteSchema, {
    deployment,
    generation: 1n,
    splits: entries,
    windowMs: 250,
    stableRevision: 1,
    ...rules,
  });
  return { deployment, route, endpoints };
}

async function replica(replicaId, revision) {
  const one = { replicaId, revision, host: "127.0.0.1", port: 0, hits: 0, lastHit: 0 };
  const server = createServer((_req, res) => {
    one.hits++;
    one.lastHit = performance.now();
    res.end("ok");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  one.port = server.address().port;
  return one;
}

async function load(count) {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const statuses = new Map();
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const status = await get(agent);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  agent.destroy();
  return statuses;
}

function get(agent, path = PATH) {
  const [host, port] = gateway.address.split(":");
  return new Promise((resolve) => {
    const req = request({ host, port, path, agent }, (res) => {
      res.resume();
      res.on("end", () => resolve(res.statusCode));
    });
    req.on("error", () => resolve(0));
    req.end();
  });
}

async function wrk(url, seconds) {
  const { stdout } = await run("wrk", ["-t1", "-c32", `-d${seconds}s`, url]);
  assert(!/Socket errors|Non-2xx/.test(stdout), stdout);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  assert(requests > 0 && rate > 0);
  return { requests, rate };
}

/** Waits until the count has not moved for a second: HAProxy has handed over its log, the last window is closed. */
async function settled() {
  for (let last = -1; last !== counted; ) {
    last = counted;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

function haproxy(name, proxies, globals = "") {
  const file = join(dir, `${name}.cfg`);
  writeFileSync(
    file,
    `global\n  nbthread 1\n  maxconn 4096\n${globals}defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n${proxies}`,
  );
  const child = spawn("/usr/sbin/haproxy", ["-q", "-db", "-f", file], { stdio: "inherit" });
  children.push(child);
  return child.pid;
}

async function reachable(port) {
  const answers = () =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
  while (!(await answers())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function print(what, figure) {
  console.log(`${what}: ${figure}`);
}
