import { createServer, type Server, type Socket } from "node:net";
import { type Clock, type Logger, secureBytes } from "@kedge/kernel";
import type { LogSink } from "./state-file.ts";

/** Longest message of HAProxy's ring, with room to spare. */
const LONGEST_FRAME = 4096;
const CLOSE_TIMEOUT_MS = 500;
/** Lines are read so often: a read for every request would wake this process and slow HAProxy down. */
const READ_EVERY_MS = 20;
/** Longest read; there may be more at once. */
const FULL_READ = 65_536;
const LENGTH = /^[1-9]\d{0,3}$/;

/** Cuts a byte stream into messages that carry their length before them (RFC 6587, octet counting). */
export class FrameReader {
  #rest = "";

  /**
   * Messages that are complete with this chunk, or undefined when the stream is no such stream; it is of no use then.
   */
  push(chunk: Buffer): string[] | undefined {
    const text = this.#rest + chunk.toString("latin1");
    const frames: string[] = [];
    let at = 0;
    while (at < text.length) {
      const space = text.indexOf(" ", at);
      if (space < 0 || space - at > 4) {
        if (text.length - at > 4) return undefined;
        break;
      }
      const length = LENGTH.test(text.slice(at, space)) ? Number(text.slice(at, space)) : 0;
      if (length === 0 || length > LONGEST_FRAME) return undefined;
      if (space + 1 + length > text.length) break;
      frames.push(text.slice(space + 1, space + 1 + length));
      at = space + 1 + length;
    }
    this.#rest = text.slice(at);
    return frames;
  }
}

/** What a listener needs. */
export interface LogListenerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gets every log line. Must not throw. */
  onLine(line: string): void;
}

/**
 * Takes HAProxy's log stream on a port of 127.0.0.1. HAProxy connects by itself, keeps what it cannot deliver (16 MiB,
 * about 250,000 requests) and sends it when the listener is back. Lines without the sink's secret are not HAProxy's, and
 * end their connection.
 */
export class LogListener {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onLine: LogListenerOptions["onLine"];
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #prefix = "";

  constructor(options: LogListenerOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onLine = options.onLine;
  }

  /**
   * Listens where the process before this one did, or, when somebody else has taken that port, on another one with
   * another secret.
   *
   * @returns where it listens; HAProxy must be told when it is not what was asked for.
   */
  async start(wanted: LogSink | undefined): Promise<LogSink> {
    const sink = wanted ?? { port: 0, secret: newSecret() };
    try {
      return await this.#listen(sink);
    } catch (error) {
      if (!isTaken(error) || wanted === undefined) throw error;
      return await this.#listen({ port: 0, secret: newSecret() });
    }
  }

  async #listen({ port, secret }: LogSink): Promise<LogSink> {
    // With a high-water mark of one byte the kernel collects what comes between two reads, in place of this process.
    const server = createServer({ highWaterMark: 1 }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    this.#server = server;
    this.#prefix = `${secret} `;
    const address = server.address();
    return { port: typeof address === "object" && address ? address.port : port, secret };
  }

  /**
   * Stops listening and lets go of HAProxy: its side is told to close, and what it sent until then is still read. May be
   * called twice.
   */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.end();
    const cancel = this.#clock.after(CLOSE_TIMEOUT_MS, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    await closed;
    cancel();
  }

  #accept(socket: Socket): void {
    const reader = new FrameReader();
    let isDue = false;
    const read = () => {
      isDue = false;
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        this.#take(socket, reader.push(chunk));
      }
    };
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", (err) => this.#logger.debug({ err }, "log stream broke off"));
    socket.on("readable", () => {
      if (this.#server === undefined || socket.readableLength >= FULL_READ) return read();
      if (isDue) return;
      isDue = true;
      this.#clock.after(READ_EVERY_MS, read);
    });
  }

  #take(socket: Socket, lines: string[] | undefined): void {
    if (lines?.every((line) => line.startsWith(this.#prefix))) {
      for (const line of lines) this.#onLine(line.slice(this.#prefix.length));
      return;
    }
    this.#logger.warn({}, "log stream is not HAProxy's");
    socket.destroy();
  }
}

/** Sixteen hex digits: a guess at one line costs a connection. */
function newSecret(): string {
  return Buffer.from(secureBytes(8)).toString("hex");
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}
