import { join } from "node:path";
import type { Logger } from "@kedge/kernel";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";

/** Where the time of the last renewal outlives the agent process, so that its successor knows how old the lease is. */
export class LeaseFile {
  readonly #path: string;
  #writing: Promise<void> = Promise.resolve();

  constructor(dataDir: string) {
    this.#path = join(dataDir, "lease");
  }

  /** Wall time at which the last renewal was sent, milliseconds since 1970; undefined when there was none. */
  async load(): Promise<number | undefined> {
    const text = (await readFileIfPresent(this.#path))?.toString("ascii") ?? "";
    return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  /** Notes a renewal, in the background: losing the note only makes the lease look older than it is. */
  save(sentAtMs: number, logger: Logger): void {
    this.#writing = this.#writing
      .then(() => writeFileAtomic(this.#path, String(Math.floor(sentAtMs))))
      .catch((error: unknown) => logger.warn({ err: error }, "lease time not noted"));
  }
}
