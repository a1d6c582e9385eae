import { createServer } from "node:net";
import { KedgeError } from "@kedge/domain";

/** A TCP port that nobody listened on a moment ago. Somebody may before its taker does. */
export function freePort(host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === "object" && address !== null) resolve(address.port);
        else reject(new KedgeError("INTERNAL", "a listening socket has no address"));
      });
    });
  });
}
