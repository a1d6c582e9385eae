import { readFileSync, unwatchFile, watchFile } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import type { Logger } from "@kedge/kernel";
import { FlagsSchema } from "@kedge/proto";
import { FlagSet } from "@kedge/rollout/flags";

/** How often the file is looked at: a stat, which does not need the watches of which a machine has few. */
const POLL_MS = 200;

/**
 * The node's feature flags, from the file in which its agent keeps them: the agent checked who they are from, and
 * replaces the file as a whole. Works while the agent is away, with what was last known.
 */
export class FlagFile {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #onChange = (): void => this.#read();
  #set: FlagSet | undefined;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  /** The flags as they are now; undefined until there are any. */
  get set(): FlagSet | undefined {
    return this.#set;
  }

  /** Reads the file and follows it. It keeps no process alive. */
  start(): void {
    watchFile(this.#path, { interval: POLL_MS, persistent: false }, this.#onChange);
    this.#read();
  }

  /** Follows it no longer. May be called twice. */
  stop(): void {
    unwatchFile(this.#path, this.#onChange);
  }

  #read(): void {
    try {
      this.#set = new FlagSet(fromBinary(FlagsSchema, readFileSync(this.#path)));
      this.#logger.debug({ generation: String(this.#set.generation) }, "feature flags read");
    } catch (error) {
      const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (!isMissing) this.#logger.error({ err: error }, "feature flags not read, the last known count");
    }
  }
}
