import { request } from "node:http";
import { errorMessage, isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import type { RequestLedger } from "./request-ledger.ts";
import type { RuntimeSocket } from "./runtime-socket.ts";

/** Header of a request that is made to leave a mark in the log. */
export const MARK_HEADER = "kedge-mark";
const MARK_TIMEOUT_MS = 2_000;
const AUDIT_MS = 1_000;
const MOST_MARKS = 4_294_967_295;

/** What an audit works with. */
export interface SilentAuditOptions {
  readonly socket: RuntimeSocket;
  /** Where requests of the gateway's own come in. */
  readonly mirrorSocket: string;
  readonly ledger: RequestLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tells whether there is anything to count. */
  isServing(): boolean;
}

/**
 * Asks HAProxy what it has counted, then leaves a mark in its log: when the mark arrives, so have the lines of all requests
 * that had ended when it counted, and the ledger may compare.
 */
export class SilentAudit {
  readonly #options: SilentAuditOptions;
  #mark = 0;

  constructor(options: SilentAuditOptions) {
    this.#options = options;
  }

  /** Audits every second until it is told to stop. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, isServing } = this.#options;
    while (!signal.aborted) {
      try {
        await clock.sleep(AUDIT_MS, signal);
        if (isServing()) await this.#once();
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ reason: errorMessage(error) }, "requests without an answer are not looked for");
      }
    }
  }

  /** While HAProxy is away nothing happens. */
  async #once(): Promise<void> {
    const { socket, ledger, mirrorSocket } = this.#options;
    this.#mark = (this.#mark % MOST_MARKS) + 1;
    try {
      ledger.prepareToCompare();
      ledger.compareAtMark(this.#mark, await socket.tracked());
      await leaveMark(mirrorSocket, this.#mark);
    } catch (error) {
      if (!isKedgeError(error, "GATEWAY_UNAVAILABLE")) throw error;
    }
  }
}

function leaveMark(socketPath: string, mark: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(new KedgeError("GATEWAY_UNAVAILABLE", "HAProxy does not answer on its mirror socket", { cause }));
    const req = request({ socketPath, path: "/", headers: { [MARK_HEADER]: String(mark) }, agent: false }, (res) => {
      res.resume();
      res.on("error", fail);
      res.on("end", resolve);
    });
    req.setTimeout(MARK_TIMEOUT_MS, () => req.destroy(new Error("no answer in time")));
    req.on("error", fail);
    req.end();
  });
}
