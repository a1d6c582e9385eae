import { createHash } from "node:crypto";
import { join } from "node:path";
import { MIRROR_BASE, type TableEntry } from "./backend-tables.ts";
import { POINTS } from "./choice-table.ts";
import type { ResolvedGatewayOptions } from "./gateway-options.ts";
import { emptyPlan, type GatewayPlan, type PlannedServer } from "./gateway-plan.ts";
import { LARGEST_MIRRORED_BODY, mirrorScript } from "./mirror-script.ts";
import { plannedRoutes, tableName } from "./plan-commands.ts";
import { TRACKED_TABLE } from "./runtime-socket.ts";
import { MARK_HEADER } from "./silent-audit.ts";
import type { LogSink } from "./state-file.ts";

/** Files and sockets inside the gateway's folder. */
export interface GatewayPaths {
  readonly config: string;
  readonly routes: string;
  /** Folder of the backends' maps. */
  readonly tables: string;
  readonly adminSocket: string;
  /** Where copies of requests come in. */
  readonly mirrorSocket: string;
  readonly mirrorScript: string;
  readonly state: string;
  readonly process: string;
}

/** Where things are in the gateway's folder. */
export function gatewayPaths(dir: string): GatewayPaths {
  return {
    config: join(dir, "haproxy.cfg"),
    routes: join(dir, "routes.map"),
    tables: join(dir, "maps"),
    adminSocket: join(dir, "admin.sock"),
    mirrorSocket: join(dir, "mirror.sock"),
    mirrorScript: join(dir, "mirror.lua"),
    state: join(dir, "state.json"),
    process: join(dir, "process.json"),
  };
}

/** Longest prediction label that is counted, in bytes. */
export const MAX_LABEL_BYTES = 64;

/**
 * Longest captures of a request, which are: its route ("s4095:123456789012345:cmpkd"), what was chosen for it
 * ("e255:123456789012345:m"), the hash of its user, and the number of its copy.
 */
const CAPTURE_BYTES = [27, 24, 10, 24] as const;

/**
 * Fields of a log line, parted by spaces: frontend and process id, number of the line there, captures, server, status,
 * termination, microseconds from the parsed request to the end of the answer, retries, prediction label. Captures and
 * label are in braces. The label alone is written by others; it is last, and HAProxy escapes braces, line ends and what
 * is no ASCII as "#41".
 */
const LOG_FORMAT = "%pid %lc %hr %s %ST %ts %[date(0,us),sub(txn.began)] %rc %hs";

/** File of a table of maps. */
export function tableFile(dir: string, name: string): string {
  return join(gatewayPaths(dir).tables, `${name}.map`);
}

/** A table's text. */
export function renderTable(entries: readonly TableEntry[]): string {
  return entries.map(([key, value]) => `${key} ${value}\n`).join("");
}

/** The route map's text. */
export function renderRoutes(plan: GatewayPlan): string {
  return renderTable([...plannedRoutes(plan)]);
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
    renderMirrorFrontend(options, layout),
    renderTracked(),
    ...plan.backends.map((backend, index) => renderBackend(options.dir, index, backend.servers)),
  ].join("\n");
}

/** Changes with everything in the configuration that cannot be changed at run time. */
export function layoutDigest(options: ResolvedGatewayOptions, layout: Layout): string {
  const { plan } = layout;
  const serversPerBackend = Math.max(0, ...plan.backends.map((backend) => backend.servers.length));
  const bare = emptyPlan({ backends: plan.backends.length, serversPerBackend });
  const text = [
    mirrorScript(gatewayPaths(options.dir).mirrorSocket),
    renderGlobal(options, layout, ""),
    renderDefaults(),
    renderFrontend(options, layout),
    renderMirrorFrontend(options, layout),
    renderTracked(),
    ...bare.backends.map((backend, index) => renderBackend(options.dir, index, backend.servers)),
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
  lua-load-per-thread ${paths.mirrorScript}
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

/** What both frontends log and remember of a request. */
function renderRecord(frontend: "g" | "m", secret: string): string {
  return `  log global
  log-format "${secret} ${frontend}${LOG_FORMAT}"
${CAPTURE_BYTES.map((bytes) => `  declare capture request len ${bytes}`).join("\n")}
  capture response header kedge-prediction len ${MAX_LABEL_BYTES}
  http-request set-var(txn.began) date(0,us)`;
}

/**
 * Rules are paid for by every request, so the usual one, by model path, is done after seven. A path that begins with
 * "/preview/<revision>" is the same as the rest of it with that revision's header, but is never served by another one. The route is kept in a
 * capture, which costs less than a variable and goes into the log as it is.
 */
function renderFrontend(options: ResolvedGatewayOptions, { port, logSink }: Layout): string {
  const host = options.listen.host.includes(":") ? `[${options.listen.host}]` : options.listen.host;
  const toRoute = `map_str(${gatewayPaths(options.dir).routes}) id 0`;
  const json = "content-type application/json string";
  return `frontend gateway
  bind ${host}:${port}
  acl is_named req.fhdr(kedge-deployment) -m found
  acl is_routed capture.req.hdr(0) -m found
  acl is_preview path_reg ^/preview/[1-9][0-9]{0,9}/
  acl is_previewed var(txn.previewed) -m found
${renderRecord("g", logSink.secret)}
  http-request set-var(txn.previewed) path,field(3,/) if { path_beg /preview/ } is_preview
  http-request set-header kedge-revision %[var(txn.previewed)] if is_previewed
  http-request replace-path ^/preview/[0-9]+(/.*)$ \\1 if is_previewed
  http-request capture path,field(4,/),${toRoute} if { path_beg /v2/models/ } !is_named
  http-request allow if is_routed
  http-request capture req.fhdr(kedge-deployment),${toRoute}
  http-request capture path,field(3,/),${toRoute} if { path_beg /d/ } !is_named
  http-request disable-l7-retry unless { path_beg /v2/models/ } or { method GET HEAD OPTIONS }
  http-request replace-path ^/d/[^/]*/?(.*)$ /\\1 if { path_beg /d/ } !is_named
  http-request allow if is_routed
  http-request set-log-level silent
  http-request return status 200 ${json} '{"live":true}' if { path /v2/health/live } !is_previewed
  http-request return status 200 ${json} '{"ready":true}' if { path /v2/health/ready } !is_previewed
  http-request return status 404 ${json} '{"error":"no such deployment on this node"}'
  use_backend %[capture.req.hdr(0),field(1,:)]
`;
}

/**
 * Copies of requests come in here with a header that says where they belong: "<route>|<choice>|<number>". They go through
 * the same backends and into the same log as what they were copied from.
 */
function renderMirrorFrontend(options: ResolvedGatewayOptions, { logSink }: Layout): string {
  const part = (index: number, id: number) =>
    `  http-request capture req.fhdr(kedge-shadow),field(${index},|) id ${id}`;
  return `frontend mirror
  bind unix@${gatewayPaths(options.dir).mirrorSocket} mode 600
${renderRecord("m", logSink.secret)}
${part(1, 0)}
${part(2, 1)}
${part(3, 3)}
  acl is_mark req.fhdr(${MARK_HEADER}) -m found
  acl is_copy req.fhdr(kedge-shadow) -m found
  http-request capture req.fhdr(${MARK_HEADER}) id 2 if is_mark !is_copy
  http-request return status 204 if is_mark !is_copy
  http-request disable-l7-retry
  http-request set-header kedge-shadow 1
  use_backend %[capture.req.hdr(0),field(1,:)]
`;
}

/** Requests that were begun, by choice, or by epoch where nothing is chosen. */
function renderTracked(): string {
  return `backend ${TRACKED_TABLE}
  stick-table type string len ${CAPTURE_BYTES[1]} size 100k expire 10m store http_req_cnt
`;
}

const NOT_IN_PREVIEW =
  'content-type application/json string \'{"error":"that revision is not in preview, or not ready here"}\'';

/**
 * A backend chooses the server itself when its route says so ("c"): a point, drawn at random or hashed from the user
 * ("k"), leads to a server by the table of choices, unless a rule matches ("m") and leads to another part of that table.
 * Some requests are copied ("d"). HAProxy's own balancing serves plain routes, and finds another server for a request
 * whose own did not answer.
 */
function renderBackend(dir: string, index: number, servers: readonly (PlannedServer | undefined)[]): string {
  const file = (table: "choices" | "rules" | "keys") => tableFile(dir, tableName(index, table));
  const choose = (point: string) => `  http-request capture ${point},map_int(${file("choices")}) id 1`;
  const body = `{ req.hdr_val(content-length) gt 0 } { req.hdr_val(content-length) le ${LARGEST_MIRRORED_BODY} }`;
  const lines = servers.map((server, slot) => `  server e${slot} ${renderServer(server)}`);
  const track = (key: string) => `  http-request track-sc0 ${key} table ${TRACKED_TABLE}`;
  return `backend s${index}
  balance roundrobin
  acl is_chosen capture.req.hdr(1) -m found
  acl is_ruled var(txn.base) -m found
  acl is_user var(txn.user) -m found
  acl is_copied var(txn.copy) -m found
  acl is_previewed var(txn.previewed) -m found
  http-request return status 503 ${NOT_IN_PREVIEW} if is_previewed !{ capture.req.hdr(0) -m sub p }
${track("capture.req.hdr(0),field(2,:)")} unless { capture.req.hdr(0) -m sub c }
  http-request allow unless { capture.req.hdr(0) -m sub c }
  http-request allow if is_chosen
  http-request set-var(txn.base) req.hdrs,map_reg_int(${file("rules")}) if { capture.req.hdr(0) -m sub m }
${choose(`rand(${POINTS}),add(txn.base)`)} if is_ruled
${track("capture.req.hdr(1)")} if is_chosen
  http-request allow if is_chosen
  http-request return status 503 ${NOT_IN_PREVIEW} if is_ruled
  http-request set-var(txn.user) req.hdrs,map_regm(${file("keys")}),xxh32 if { capture.req.hdr(0) -m sub k }
  http-request capture var(txn.user) id 2 if is_user
${choose(`var(txn.user),mod(${POINTS})`)} if is_user
${choose(`rand(${POINTS})`)} unless is_chosen
${track("capture.req.hdr(1)")} if is_chosen
  http-request allow unless { capture.req.hdr(0) -m sub d }
  http-request set-var(txn.copy) rand(${POINTS}),add(${MIRROR_BASE}),map_int(${file("choices")})
  http-request allow unless is_copied
  http-request wait-for-body time 60s if ${body}
  http-request lua.kedge_mirror
  http-request capture var(txn.copy) id 3
  use-server %[capture.req.hdr(1),field(1,:)] if is_chosen
${lines.join("\n")}
`;
}

function renderServer(server: PlannedServer | undefined): string {
  if (server === undefined) return "127.0.0.1:1 weight 0 disabled";
  const host = server.host.includes(":") ? `[${server.host}]` : server.host;
  return `${host}:${server.port} weight ${server.weight}`;
}
