import { createServer } from "node:http";

/** A replica in a process of its own: prints its port, and answers until it is killed. */
const server = createServer((_, res) => res.end("ok"));
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(String(typeof address === "object" ? address?.port : 0));
});
