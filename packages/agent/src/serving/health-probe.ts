import { get } from "node:http";

const TIMEOUT_MS = 1000;

/**
 * Asks a server whether it is ready: any 2xx answer is a yes. Never throws.
 *
 * @param path absolute path on the server.
 * @param host default: 127.0.0.1.
 */
export function isHealthy(port: number, path: string, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host, port, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
      const { statusCode = 0 } = response;
      response.resume();
      resolve(statusCode >= 200 && statusCode < 300);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}
