// Instructions (of user code, as callgrind counts them) that HAProxy takes for a request: bare, bare with its own
// httplog, and with Kedge's configuration. The same on a busy machine as on a quiet one. Needs haproxy and valgrind.
//   node -C kedge-source bench/instructions.mjs
// Callgrind counts a copy by `rep movsb` byte by byte: the copy of the request that HAProxy keeps for a retry is 33,000
// of them and takes about 1 us. So Kedge's figure is printed with and without retries of unanswered requests.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@kedge/kernel";
import { resolveGatewayOptions } from "../src/gateway-options.ts";
import { renderConfig, renderRoutes } from "../src/haproxy-config.ts";

const [FEW, MANY] = [320, 1_920];
const CONNECTIONS = 16;
const REQUEST = "GET /v2/models/m/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const dir = mkdtempSync(join(tmpdir(), "kedge-gw-ir-"));
const sink = createServer((socket) => socket.resume()).listen(join(dir, "log.sock"));
const backendPort = await freePort();
const backend = spawn("haproxy", ["-q", "-db", "-f", backendConfig()], { stdio: "inherit" });
try {
  await reachable(backendPort);
  const kedge = (port) => kedgeConfig(port);
  await measure("bare HAProxy, no log", (port) => bareConfig(port, "", ""));
  await measure("bare HAProxy, httplog", (port) =>
    bareConfig(port, "  log ring@requests format rfc5424 local0\n", "  log global\n  option httplog\n"),
  );
  await measure("Kedge", kedge);
  await measure("Kedge without retry of unanswered requests", (port) => kedge(port).replace(/ {2}retry-on .*\n/, ""));
} finally {
  backend.kill("SIGKILL");
  sink.close();
  rmSync(dir, { recursive: true, force: true });
}

async function measure(name, config) {
  const few = await instructions(config, FEW);
  const many = await instructions(config, MANY);
  console.log(`${name}: ${Math.round((many - few) / (MANY - FEW))} instructions a request`);
}

/** Instructions of a HAProxy from its start to its end, with this many requests between. */
async function instructions(config, requests) {
  const [port, file, out] = [await freePort(), join(dir, "haproxy.cfg"), join(dir, "callgrind.out")];
  writeFileSync(file, config(port));
  const args = ["--tool=callgrind", `--callgrind-out-file=${out}`, "-q", "haproxy", "-q", "-db", "-f", file];
  const child = spawn("valgrind", args, { stdio: "ignore" });
  await reachable(port);
  await Promise.all(Array.from({ length: CONNECTIONS }, () => send(port, requests / CONNECTIONS)));
  child.kill("SIGTERM");
  await once(child, "exit");
  return Number(/^(?:summary|totals): (\d+)$/m.exec(readFileSync(out, "latin1"))?.[1]);
}

/** Sends requests one after another on one connection. */
async function send(port, count) {
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  for (let i = 0; i < count; i++) {
    socket.write(REQUEST);
    for (let text = ""; !text.endsWith("[]}"); ) text += (await once(socket, "data"))[0];
  }
  socket.destroy();
}

function kedgeConfig(port) {
  const options = resolveGatewayOptions({
    dir,
    listen: { host: "127.0.0.1", port: 0 },
    threads: 1,
    nodeId: "bench",
    bootId: "bench",
    clock: systemClock,
  });
  const server = { replicaId: "r1", revision: 1, host: "127.0.0.1", port: backendPort, weight: 256 };
  const split = { deployment: "m", epoch: 1 };
  const plan = { nextEpoch: 2, backends: [{ split, servers: [server] }] };
  writeFileSync(join(dir, "routes.map"), renderRoutes(plan));
  return renderConfig(options, port, plan);
}

function bareConfig(port, globals, defaults) {
  return `global
  nbthread 1
${globals}${globals && ring()}defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
${defaults}frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s 127.0.0.1:${backendPort}
`;
}

function ring() {
  return `ring requests
  format rfc5424
  maxlen 1024
  size 16777216
  timeout connect 1s
  timeout server 24h
  server sink unix@${join(dir, "log.sock")} log-proto octet-count
`;
}

function backendConfig() {
  const file = join(dir, "backend.cfg");
  const answer = `http-request return status 200 content-type application/json string '{"outputs":[]}' hdr kedge-prediction cat`;
  const timeouts = "  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n";
  writeFileSync(file, `defaults\n  mode http\n${timeouts}frontend b\n  bind 127.0.0.1:${backendPort}\n  ${answer}\n`);
  return file;
}

async function reachable(port) {
  const answers = () =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
  for (let tries = 0; !(await answers()); tries++) {
    assert(tries < 1_000, "HAProxy does not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
