import { Agent, request } from "node:http";
import { systemClock } from "@kedge/kernel";

/** How a request failed. */
export interface FailedRequest {
  /** Milliseconds of the monotonic clock. */
  readonly at: number;
  /** Whether an HTTP answer came at all. */
  readonly kind: "connection" | "status";
  readonly message: string;
}

/** What to send, where to. */
export interface LoadOptions {
  /** host:port of a gateway. */
  readonly gateway: string;
  readonly deployment: string;
  /** Milliseconds between two requests of one caller. Default 100. */
  readonly intervalMs?: number;
}

const CALLERS = 12;
const TIMEOUT_MS = 5_000;
const FRAME = 512;

/** Callers who send audio frames to a deployment until stopped; every answer is counted. */
export class Load {
  readonly failures: FailedRequest[] = [];
  readonly #answers = new Map<string, number>();
  readonly #options: Required<LoadOptions>;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
  readonly #stop = new AbortController();
  readonly #callers: Promise<void>[];
  readonly #body: string;

  constructor(options: LoadOptions) {
    this.#options = { intervalMs: 100, ...options };
    const data = Array.from({ length: FRAME }, () => 0);
    this.#body = JSON.stringify({ inputs: [{ name: "input", datatype: "FP32", shape: [1, FRAME], data }] });
    this.#callers = Array.from({ length: CALLERS }, (_, index) => this.#call(index));
  }

  /** Requests that were answered with 200, by the version of the model that answered. */
  get answers(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#answers);
  }

  get answered(): number {
    return [...this.#answers.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Ends after the requests that are under way. May be called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#callers);
    this.#agent.destroy();
  }

  async #call(index: number): Promise<void> {
    const { intervalMs } = this.#options;
    const { signal } = this.#stop;
    const pause = (ms: number) => systemClock.sleep(ms, signal).catch(() => undefined);
    await pause((index * intervalMs) / CALLERS);
    while (!signal.aborted) {
      const startedAt = systemClock.monotonic();
      await this.#send();
      await pause(Math.max(1, intervalMs - (systemClock.monotonic() - startedAt)));
    }
  }

  #send(): Promise<void> {
    const { gateway, deployment } = this.#options;
    const [host = "", port = ""] = gateway.split(":");
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(this.#body) };
    const path = `/v2/models/${deployment}/infer`;
    const options = { host, port, path, method: "POST", agent: this.#agent, headers, timeout: TIMEOUT_MS };
    return new Promise((resolve) => {
      const fail = (kind: FailedRequest["kind"], message: string): void => {
        this.failures.push({ at: systemClock.monotonic(), kind, message });
        resolve();
      };
      const sent = request(options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("error", (error) => fail("connection", error.message));
        response.on("end", () => {
          if (response.statusCode !== 200) return fail("status", `${response.statusCode}: ${text.slice(0, 200)}`);
          const version = /"model_version"\s*:\s*"([^"]*)"/.exec(text)?.[1] ?? "?";
          this.#answers.set(version, (this.#answers.get(version) ?? 0) + 1);
          resolve();
        });
      });
      sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
      sent.on("error", (error) => fail("connection", error.message));
      sent.end(this.#body);
    });
  }
}
