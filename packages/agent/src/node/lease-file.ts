import { join } from "node:path";
import type { Logger } from "@kedge/kernel";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";
import { bootId } from "./boot-clock.ts";

/**
 * Where the time of the last renewal outlives the agent process: its successor and the watchdog learn from it how old
 * the lease is. One line, `<boot time in milliseconds> <boot id>`.
 */
export class LeaseFile {
  readonly #path: string;
  readonly #bootId = bootId();
  #writing: Promise<void> = Promise.resolve();

  constructor(dataDir: string) {
    this.#path = join(dataDir, "lease");
  }

  /** Boot time at which the last renewal was sent; undefined when there was none since the machine was booted. */
  async load(): Promise<number | undefined> {
    const text = (await readFileIfPresent(this.#path))?.toString("ascii") ?? "";
    const [sentAt = "", boot] = text.trim().split(" ");
    return boot === this.#bootId && /^\d{1,15}$/.test(sentAt) ? Number(sentAt) : undefined;
  }

  /** Notes a renewal. Never rejects: without the note the lease only looks older than it is. */
  save(sentAtMs: number, logger: Logger): Promise<void> {
    this.#writing = this.#writing
      .then(() => writeFileAtomic(this.#path, `${sentAtMs} ${this.#bootId}\n`))
      .catch((error: unknown) => logger.warn({ err: error }, "lease time not noted"));
    return this.#writing;
  }
}
