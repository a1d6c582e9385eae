import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request that a receiver got. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** What a receiver answers with; undefined: it never answers. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A real HTTP server that stands for a receiver. */
export interface ReceiverServer {
  readonly port: number;
  readonly url: string;
  /** Every request so far. */
  readonly received: Received[];
  /** What to answer from now on; 200 at first. */
  answer: (request: Received) => Answer | undefined;
  stop(): Promise<void>;
}

/** Listens on loopback, on a free port or the given one. Always `stop` it. */
export async function startReceiver(port = 0): Promise<ReceiverServer> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { url: path = "", headers } = request;
      const one = { path, headers, body: Buffer.concat(chunks).toString() };
      received.push(one);
      reply(response, receiver.answer(one));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address() as AddressInfo;
  const receiver: ReceiverServer = {
    port: address.port,
    url: `http://127.0.0.1:${address.port}/hook`,
    received,
    answer: () => ({ status: 200, body: "ok" }),
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return receiver;
}

function reply(response: ServerResponse, answer: Answer | undefined): void {
  if (answer === undefined) return;
  response.writeHead(answer.status, answer.headers);
  response.end(answer.body);
}
