import { get } from "node:http";

/**
 * Asks a replica whether it is ready: any 2xx answer is a yes. Never throws.
 *
 * @param path absolute path on the replica's server.
 */
export function isHealthy(port: number, path: string, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path, agent: false, timeout: timeoutMs }, (response) => {
      const { statusCode = 0 } = response;
      response.resume();
      resolve(statusCode >= 200 && statusCode < 300);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}
