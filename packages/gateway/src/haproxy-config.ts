import { createHash } from "node:crypto";
import { join } from "node:path";
import type { ResolvedGatewayOptions } from "./gateway-options.ts";
import { emptyPlan, type GatewayPlan, type PlannedServer } from "./gateway-plan.ts";
import { plannedRoutes } from "./plan-commands.ts";
import type { LogSink } from "./state-file.ts";

/** Files and sockets inside the gateway's folder. */
export interface GatewayPaths {
  readonly config: string;
  readonly routes: string;
  readonly adminSocket: string;
  readonly state: string;
  readonly process: string;
}

/** Where things are in the gateway's folder. */
export function gatewayPaths(dir: string): GatewayPaths {
  return {
    config: join(dir, "haproxy.cfg"),
    routes: join(dir, "routes.map"),
    adminSocket: join(dir, "admin.sock"),
    state: join(dir, "state.json"),
    process: join(dir, "process.json"),
  };
}

/** Longest prediction label that is counted, in bytes. */
export const MAX_LABEL_BYTES = 64;

/** Longest value of the route map, e.g. "s4095:123456789012345". */
const ROUTE_BYTES = 24;

/**
 * Fields of a log line, parted by spaces: process id, number of the line in that process, route, server, status, termination, microseconds from the
 * parsed request to the end of the answer, retries, prediction label. Route and label are captures, in braces. The label
 * alone is written by others; it is last, and HAProxy escapes braces, line ends and what is no ASCII as "#41".
 */
const LOG_FORMAT = "%pid %lc %hr %s %ST %ts %[date(0,us),sub(txn.began)] %rc %hs";

/** The route map's text. */
export function renderRoutes(plan: GatewayPlan): string {
  return [...plannedRoutes(plan)].map(([deployment, route]) => `${deployment} ${route}\n`).join("");
}

/** What a configuration is rendered from besides the options. */
export interface Layout {
  /** Port that users connect to. */
  readonly port: number;
  readonly logSink: LogSink;
  readonly plan: GatewayPlan;
}

/** The whole configuration, holding the plan as it is, so that a restarted HAProxy serves at once. */
export function renderConfig(options: ResolvedGatewayOptions, layout: Layout): string {
  const { plan } = layout;
  return [
    renderGlobal(options, layout, layoutDigest(options, layout)),
    renderDefaults(),
    renderFrontend(options, layout),
    ...plan.backends.map((backend, index) => renderBackend(index, backend.servers)),
  ].join("\n");
}

/** Changes with everything in the configuration that cannot be changed at run time. */
export function layoutDigest(options: ResolvedGatewayOptions, layout: Layout): string {
  const { plan } = layout;
  const serversPerBackend = Math.max(0, ...plan.backends.map((backend) => backend.servers.length));
  const bare = emptyPlan({ backends: plan.backends.length, serversPerBackend });
  const text = [
    renderGlobal(options, layout, ""),
    renderDefaults(),
    renderFrontend(options, layout),
    ...bare.backends.map((backend, index) => renderBackend(index, backend.servers)),
  ].join("\n");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/**
 * The log goes to a TCP port: HAProxy 2.6 tries again at once, and for ever, when a Unix socket has no listener, which
 * takes a whole core for as long as no agent runs.
 */
function renderGlobal(options: ResolvedGatewayOptions, { logSink }: Layout, digest: string): string {
  const paths = gatewayPaths(options.dir);
  const threads = options.threads === 0 ? "" : `  nbthread ${options.threads}\n`;
  return `global
  description kedge-${digest}
  maxconn ${options.maxConnections}
${threads}  stats socket ${paths.adminSocket} mode 600 level admin expose-fd listeners
  hard-stop-after 300s
  close-spread-time 1s
  log ring@requests format raw local0

ring requests
  format raw
  maxlen 1024
  size 16777216
  timeout connect 1s
  timeout server 24h
  server agent 127.0.0.1:${logSink.port} log-proto octet-count
`;
}

function renderDefaults(): string {
  const answer = (status: number, text: string, headers = "") =>
    `  http-error status ${status} content-type application/json string '{"error":"${text}"}'${headers}`;
  return `defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 120s
  timeout queue 5s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout tunnel 1h
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response
${answer(400, "the request is not valid HTTP")}
${answer(408, "the request did not arrive in time")}
${answer(500, "the gateway failed")}
${answer(502, "the replica did not answer properly")}
${answer(503, "no replica is ready", " hdr Retry-After 1")}
${answer(504, "the replica did not answer in time")}
`;
}

/**
 * Rules are paid for by every request, so the usual one, by model path, is done after four. The route is kept in a
 * capture, which costs less than a variable and goes into the log as it is.
 */
function renderFrontend(options: ResolvedGatewayOptions, { port, logSink }: Layout): string {
  const host = options.listen.host.includes(":") ? `[${options.listen.host}]` : options.listen.host;
  const toRoute = `map_str(${gatewayPaths(options.dir).routes}) id 0`;
  const json = "content-type application/json string";
  return `frontend gateway
  bind ${host}:${port}
  log global
  log-format "${logSink.secret} ${LOG_FORMAT}"
  declare capture request len ${ROUTE_BYTES}
  capture response header kedge-prediction len ${MAX_LABEL_BYTES}
  acl is_named req.fhdr(kedge-deployment) -m found
  acl is_routed capture.req.hdr(0) -m found
  http-request set-var(txn.began) date(0,us)
  http-request capture path,field(4,/),${toRoute} if { path_beg /v2/models/ } !is_named
  http-request allow if is_routed
  http-request capture req.fhdr(kedge-deployment),${toRoute}
  http-request capture path,field(3,/),${toRoute} if { path_beg /d/ } !is_named
  http-request disable-l7-retry unless { path_beg /v2/models/ } or { method GET HEAD OPTIONS }
  http-request replace-path ^/d/[^/]*/?(.*)$ /\\1 if { path_beg /d/ } !is_named
  http-request allow if is_routed
  http-request set-log-level silent
  http-request return status 200 ${json} '{"live":true}' if { path /v2/health/live }
  http-request return status 200 ${json} '{"ready":true}' if { path /v2/health/ready }
  http-request return status 404 ${json} '{"error":"no such deployment on this node"}'
  use_backend %[capture.req.hdr(0),field(1,:)]
`;
}

function renderBackend(index: number, servers: readonly (PlannedServer | undefined)[]): string {
  const lines = servers.map((server, slot) => `  server e${slot} ${renderServer(server)}`);
  return `backend s${index}\n  balance roundrobin\n${lines.join("\n")}\n`;
}

function renderServer(server: PlannedServer | undefined): string {
  if (server === undefined) return "127.0.0.1:1 weight 0 disabled";
  const host = server.host.includes(":") ? `[${server.host}]` : server.host;
  return `${host}:${server.port} weight ${server.weight}`;
}
