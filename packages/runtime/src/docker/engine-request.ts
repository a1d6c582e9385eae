import { request } from "node:http";
import { json } from "node:stream/consumers";
import { errorMessage, KedgeError } from "@kedge/domain";
import { mapDockerError } from "./docker-error.ts";

const TIMEOUT_MS = 10_000;

/**
 * Asks an engine one question without loading the Docker client, which takes 15 MiB.
 *
 * @param path path and query of the Engine API.
 * @throws KedgeError DOCKER_UNAVAILABLE, INTERNAL for an answer that is not JSON with status 200.
 */
export async function askEngine(socketPath: string, path: string): Promise<unknown> {
  const doing = `the Docker Engine was asked for ${path.split("?")[0]}`;
  try {
    return await get(socketPath, path);
  } catch (error) {
    if (error instanceof SyntaxError) throw new KedgeError("INTERNAL", `${doing}: ${errorMessage(error)}`);
    throw mapDockerError(error, doing);
  }
}

function get(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
      const { statusCode } = response;
      if (statusCode === 200) return json(response).then(resolve, reject);
      response.resume();
      reject(Object.assign(new Error(`status ${statusCode}`), { statusCode }));
    });
    asking.once("timeout", () => asking.destroy(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" })));
    asking.once("error", reject);
    asking.end();
  });
}
