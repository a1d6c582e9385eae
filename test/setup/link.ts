import { createServer, connect as dial, type Server, type Socket } from "node:net";

/** The network between a node and its controller: passes bytes on until it is cut, and again once it is mended. */
export class Link implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #state: { isCut: boolean };

  private constructor(server: Server, parts: { address: string; sockets: Set<Socket>; state: { isCut: boolean } }) {
    this.#server = server;
    this.address = parts.address;
    this.#sockets = parts.sockets;
    this.#state = parts.state;
  }

  /** A way to a server on this machine, host:port. */
  static async to(target: string): Promise<Link> {
    const [host = "", port = ""] = target.split(":");
    const sockets = new Set<Socket>();
    const state = { isCut: false };
    const server = createServer((near) => {
      if (state.isCut) return near.destroy();
      const far = dial(Number(port), host);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          sockets.delete(one);
          other.destroy();
        });
      }
      return undefined;
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", resolve);
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return new Link(server, { address: `127.0.0.1:${address.port}`, sockets, state });
  }

  /** Ends what is connected and lets nothing through. */
  cut(): void {
    this.#state.isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#state.isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((closed) => this.#server.close(closed));
  }
}
