import { KedgeError } from "@kedge/domain";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { inferRoute } from "./infer-route.ts";
import { own, parseJson } from "./json.ts";
import type { ModelHost } from "./model-host.ts";
import { protocolShape, type TensorSpec } from "./signature.ts";
import { modelStatistics } from "./statistics.ts";

/** Name and version in the server metadata. */
const SERVER = { name: "kedge-model-server", version: "0.1.0" };
const EXTENSIONS = ["binary_tensor_data", "statistics", "model_repository(index)"];
const UNAVAILABLE = 503;

type ModelParams = { model: string; version?: string };
type ModelRequest = FastifyRequest<{ Params: ModelParams }>;

/** Adds every endpoint of the Open Inference Protocol, with and without version, and `/metrics`. */
export function registerRoutes(server: FastifyInstance, host: ModelHost): void {
  server.get("/v2", () => ({ ...SERVER, extensions: EXTENSIONS }));
  server.get("/v2/health/live", () => ({ live: true }));
  server.get("/v2/health/ready", (_request, reply) => {
    const ready = host.state === "ready";
    return reply.status(ready ? 200 : UNAVAILABLE).send({ ready });
  });
  server.get("/metrics", async (_request, reply) => {
    reply.type(host.metrics.registry.contentType);
    return await host.metrics.registry.metrics();
  });
  server.post("/v2/repository/index", (request) => repositoryIndex(host, request));
  server.get("/v2/models/stats", () => modelStatistics(host));
  for (const path of ["/v2/models/:model", "/v2/models/:model/versions/:version"])
    registerModelRoutes(server, host, path);
}

function registerModelRoutes(server: FastifyInstance, host: ModelHost, path: string): void {
  const onRequest = async (request: FastifyRequest) => assertServed(host, request.params as ModelParams);
  server.get(path, { onRequest }, () => modelMetadata(host));
  server.get(`${path}/ready`, { onRequest }, (_request: ModelRequest, reply) => {
    const ready = host.state === "ready";
    return reply.status(ready ? 200 : UNAVAILABLE).send({ name: host.config.name, ready });
  });
  server.get(`${path}/stats`, { onRequest }, () => modelStatistics(host));
  const enter = async (_request: FastifyRequest, reply: FastifyReply) => admit(host, reply);
  server.post(`${path}/infer`, { onRequest: [onRequest, enter] }, (request, reply) => inferRoute(host, request, reply));
}

function assertServed(host: ModelHost, { model, version }: ModelParams): void {
  const { config } = host;
  if (model !== config.name) {
    throw new KedgeError("MODEL_NOT_FOUND", `there is no model '${model.slice(0, 80)}' here, only '${config.name}'`);
  }
  if (version !== undefined && version !== config.version) {
    throw new KedgeError(
      "MODEL_NOT_FOUND",
      `model '${config.name}' has no version '${version.slice(0, 80)}' here, only '${config.version}'`,
    );
  }
}

/** Takes a place in the queue before the body is read, so that waiting requests cost bounded memory. */
function admit(host: ModelHost, reply: FastifyReply): void {
  try {
    const leave = host.admission.enter();
    reply.raw.once("close", leave);
  } catch (error) {
    host.failed(error, host.now());
    throw error;
  }
}

function modelMetadata(host: ModelHost) {
  const { model, config } = host;
  const describe = (spec: TensorSpec) => ({ name: spec.name, datatype: spec.datatype, shape: protocolShape(spec) });
  return {
    name: config.name,
    versions: [config.version],
    platform: model.settings.platform,
    inputs: model.signature.inputs.map(describe),
    outputs: model.signature.outputs.map(describe),
  };
}

function repositoryIndex(host: ModelHost, request: FastifyRequest) {
  const body = Buffer.isBuffer(request.body) && request.body.length > 0 ? request.body.toString("utf8") : "{}";
  const wanted = parseJson(body, "the request body");
  const onlyReady = typeof wanted === "object" && wanted !== null && own({ ...wanted }, "ready") === true;
  const ready = host.state === "ready";
  if (onlyReady && !ready) return [];
  const { name, version } = host.config;
  return [{ name, version, state: ready ? "READY" : "UNAVAILABLE", reason: ready ? "" : host.state }];
}
