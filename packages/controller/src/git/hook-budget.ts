import type { ServerResponse } from "node:http";

/** Bytes of bodies that are read at once, of all repositories. */
const MAX_BYTES = 128 * 1024 * 1024;

/** Keeps strangers from filling the memory with bodies that are not signed. */
export class HookBudget {
  #bytes = 0;

  /** Takes room until the response is closed; false when there is none. */
  take(bytes: number, response: ServerResponse): boolean {
    if (this.#bytes + bytes > MAX_BYTES) return false;
    this.#bytes += bytes;
    response.once("close", () => {
      this.#bytes -= bytes;
    });
    return true;
  }
}
