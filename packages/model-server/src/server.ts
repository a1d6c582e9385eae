import type { Logger } from "@kedge/kernel";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { httpStatus, toKedgeError } from "./http-status.ts";
import type { ModelHost } from "./model-host.ts";
import { registerRoutes } from "./routes.ts";

const RETRY_AFTER_SECONDS = 1;
const SERVER_ERROR = 500;
const UNAVAILABLE = 503;

/** An HTTP server over a model host; not listening yet. Closing it lets requests in work end. */
export function createServer(host: ModelHost, logger: Logger): FastifyInstance {
  const onError = (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
    sendError(error, { request, reply, logger });
  const server = fastify({
    logger: false,
    bodyLimit: host.config.maxRequestBytes,
    // A slow sender holds a place in the queue; not for longer than a slow handler may.
    requestTimeout: host.config.requestTimeoutMs,
    forceCloseConnections: "idle",
    return503OnClosing: false,
    frameworkErrors: onError,
  });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  server.setErrorHandler(onError);
  server.setNotFoundHandler((request, reply) => {
    void reply.status(404).send({ error: `there is no ${request.method} ${request.url.slice(0, 200)} here` });
  });
  server.addHook("onSend", async (_request, reply) => {
    // A kept connection would hold up the end of the process.
    if (host.state === "draining") reply.header("connection", "close");
  });
  registerRoutes(server, host);
  return server;
}

interface ErrorExchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly logger: Logger;
}

function sendError(thrown: unknown, { request, reply, logger }: ErrorExchange): FastifyReply {
  const error = toKedgeError(thrown);
  const status = httpStatus(error);
  if (status === UNAVAILABLE) reply.header("retry-after", RETRY_AFTER_SECONDS);
  // What is refused under load is counted, not logged: a line for each would make the load worse.
  if (status >= SERVER_ERROR && status !== UNAVAILABLE) {
    logger.warn(
      { err: error, cause: error.cause, reason: error.reason, path: request.url.slice(0, 200) },
      "request failed",
    );
  }
  // An unread body would be taken for the next request on this connection.
  if (error.reason === "QUEUE_FULL" || error.reason === "TOO_LARGE") reply.header("connection", "close");
  return reply.status(status).send({ error: error.message });
}
