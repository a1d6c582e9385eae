import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Logger } from "@kedge/kernel";
import { type Flags, FlagsSchema } from "@kedge/proto";
import { FlagSet } from "@kedge/rollout/flags";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";

/**
 * The feature flags as the controller last gave them to this node: in memory for the node's own answers, on disk for the
 * model servers, which follow the file, and for the next agent. They were verified when they came.
 */
export class KnownFlags {
  /** Where they are on disk, in protobuf; replaced as a whole. */
  readonly path: string;
  readonly #logger: Logger;
  #set: FlagSet | undefined;
  #writes: Promise<void> = Promise.resolve();

  constructor(path: string, logger: Logger) {
    this.path = path;
    this.#logger = logger;
  }

  /** Undefined until there are any. */
  get set(): FlagSet | undefined {
    return this.#set;
  }

  /** Takes up what the disk remembers. */
  async load(): Promise<void> {
    try {
      const bytes = await readFileIfPresent(this.path);
      if (bytes !== undefined) this.#set = new FlagSet(fromBinary(FlagsSchema, bytes));
    } catch (error) {
      this.#logger.error({ err: error }, "feature flags on disk not read, waiting for the controller");
    }
  }

  /** Takes newer flags. Only newer ones come, as the bus sorts out the order. */
  take(flags: Flags): void {
    this.#set = new FlagSet(flags);
    const bytes = toBinary(FlagsSchema, flags);
    this.#writes = this.#writes
      .then(() => writeFileAtomic(this.path, bytes))
      .catch((error: unknown) => this.#logger.error({ err: error }, "feature flags not written to disk"));
    this.#logger.info({ generation: String(flags.generation), flags: flags.flags.length }, "feature flags changed");
  }

  /** Resolves when the disk has what came last. */
  async settled(): Promise<void> {
    await this.#writes;
  }
}
