import { createHash } from "node:crypto";
import { createServer } from "node:net";

/**
 * Takes a lock that one process of this machine can hold, until it gives it up or ends, however that happens: an abstract
 * socket (unix(7)).
 *
 * @param purpose what kind of lock; letters and dashes.
 * @param name what is locked.
 * @returns gives it up; undefined when another holds it.
 */
export async function takeMachineLock(purpose: string, name: string): Promise<(() => Promise<void>) | undefined> {
  const digest = createHash("sha256").update(name).digest("hex");
  const server = createServer((socket) => socket.destroy());
  server.unref();
  const isTaken = await new Promise<boolean>((resolve, reject) => {
    server.once("error", (error) => {
      if ("code" in error && error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(`\0kedge-${purpose}-${digest}`, () => resolve(true));
  });
  return isTaken ? () => new Promise((resolve) => server.close(() => resolve())) : undefined;
}
