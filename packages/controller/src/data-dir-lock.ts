import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { createServer } from "node:net";
import { KedgeError } from "@kedge/domain";

/**
 * Makes this process the only controller of a data folder, for as long as it lives: two would share the lease and
 * restart each other's NATS. Held as an abstract socket (unix(7)), which goes with the process however it ends.
 *
 * @returns gives the folder up.
 * @throws KedgeError INVALID_OPTION when another controller holds it.
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const name = createHash("sha256")
    .update(await realpath(dataDir))
    .digest("hex");
  const server = createServer((socket) => socket.destroy());
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `another controller runs with the data folder ${dataDir}`;
      reject(new KedgeError("INVALID_OPTION", message, { cause, field: "dataDir", hint: "stop it first" }));
    });
    server.listen(`\0kedge-controller-${name}`, resolve);
  });
  return () => new Promise((resolve) => server.close(() => resolve()));
}
