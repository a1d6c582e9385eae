import type { ServerSurfaceCall } from "@grpc/grpc-js/build/src/server-call.js";
import type { KedgeError } from "@kedge/domain";
import type { CallContext, Principal } from "./service-types.ts";

/** Settings of a ServerContext. */
export interface ServerContextOptions {
  readonly call: ServerSurfaceCall;
  readonly principal: Principal;
  readonly deadlineMs: number | undefined;
  /** Called once, when the call ends before its handler has. */
  readonly onEarlyEnd: (reason: KedgeError) => void;
}

/**
 * The server's side of one call. It ends exactly once: by `finish` when the handler is done, or by `cut` before that;
 * whichever comes second has no effect. The abort signal is made on first use, as most unary handlers never look.
 */
export class ServerContext implements CallContext {
  readonly principal: Principal;
  readonly deadlineMs: number | undefined;
  readonly #call: ServerSurfaceCall;
  readonly #onEarlyEnd: (reason: KedgeError) => void;
  #controller: AbortController | undefined;
  #reason: KedgeError | undefined;
  #over = false;

  constructor(options: ServerContextOptions) {
    this.principal = options.principal;
    this.deadlineMs = options.deadlineMs;
    this.#call = options.call;
    this.#onEarlyEnd = options.onEarlyEnd;
  }

  get peer(): string {
    return this.#call.getPeer();
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** True once the call has ended, either way. */
  get over(): boolean {
    return this.#over;
  }

  metadata(name: string): string | undefined {
    const value = this.#call.metadata.get(name)[0];
    return typeof value === "string" ? value : undefined;
  }

  /** Ends the call for the handler; false when it was cut before. */
  finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    return true;
  }

  /** Ends the call early and aborts its signal. */
  cut(reason: KedgeError): void {
    if (this.#over) return;
    this.#over = true;
    this.#reason = reason;
    this.#onEarlyEnd(reason);
    this.#controller?.abort(reason);
  }
}
