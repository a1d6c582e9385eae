import type { FastifyReply, FastifyRequest } from "fastify";
import { parseInferRequest } from "./infer-request.ts";
import { encodeResponse } from "./infer-response.ts";
import type { ModelHost } from "./model-host.ts";
import { PREDICTION_HEADER } from "./prediction.ts";
import { decodeBody, headerLength } from "./request-body.ts";
import { parseRawRequest } from "./signature.ts";

/** Response and request header: bytes of JSON in front of the binary tensors. */
export const JSON_LENGTH_HEADER = "inference-header-content-length";

/**
 * Answers an inference request whose body is in `request.body` as a Buffer. The outcome is counted here, whatever it
 * is; errors go on to the server's error handler.
 */
export async function inferRoute(host: ModelHost, request: FastifyRequest, reply: FastifyReply): Promise<Buffer> {
  const arrivedMs = host.now();
  try {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const decoded = await decodeBody(body, request.headers["content-encoding"], host.maxRequestBytes);
    const jsonLength = headerLength(request.headers[JSON_LENGTH_HEADER]);
    const parsed =
      jsonLength === 0 ? parseRawRequest(host.model.signature, decoded) : parseInferRequest(decoded, jsonLength);
    const { label, outputs, parameters } = await host.infer(parsed, arrivedMs, goneSignal(reply));
    const answer = { modelName: host.config.name, modelVersion: host.config.version, outputs };
    const encoded = encodeResponse(parameters === undefined ? answer : { ...answer, parameters }, parsed);
    if (label !== undefined) reply.header(PREDICTION_HEADER, label);
    if (encoded.jsonLength !== undefined) reply.header(JSON_LENGTH_HEADER, encoded.jsonLength);
    reply.type(encoded.jsonLength === undefined ? "application/json" : "application/octet-stream");
    return encoded.body;
  } catch (error) {
    host.failed(error, arrivedMs);
    throw error;
  }
}

/** Aborts when the connection closes before the answer was sent. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
