import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { scrape } from "./scrape.ts";

const { signal } = new AbortController();

async function ask(listener: RequestListener, options: { timeoutMs?: number; maxBytes?: number } = {}) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    return await scrape({ port, path: "/metrics?a=b", signal, ...options });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

it("gets the text of a replica", async () => {
  expect(await ask((request, response) => response.end(`${request.url} ${request.headers.accept}`))).toBe(
    "/metrics?a=b text/plain;version=0.0.4",
  );
});

it.each<[string, RequestListener]>([
  ["an error", (_, response) => response.writeHead(500).end("x 1")],
  ["a redirect", (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end("x 1")],
  ["no end", (_, response) => response.write("x 1\n")],
  ["a cut", (_, response) => response.writeHead(200, { "content-length": 9 }).write("x 1\n", () => response.destroy())],
  ["no answer", () => {}],
  [
    "an endless answer",
    (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write("x 1\n".repeat(1000)));
      };
      response.on("drain", more);
      more();
    },
  ],
])("takes nothing of %s", async (_, listener) => {
  expect(await ask(listener, { timeoutMs: 300, maxBytes: 100_000 })).toBeUndefined();
});

it("takes nothing of a port that nobody listens on", async () => {
  expect(await scrape({ port: 1, path: "/metrics", signal })).toBeUndefined();
});
