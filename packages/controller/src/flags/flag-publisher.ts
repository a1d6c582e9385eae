import { create, equals } from "@bufbuild/protobuf";
import { type Bus, recordFlagChange } from "@kedge/bus";
import { type Flag, FlagSchema, type Flags, FlagsSchema } from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { liveFlags } from "./live-flags.ts";

/** Key of the one document with all flags. */
export const ALL_FLAGS = "all";

/** What a FlagPublisher works with. */
export interface FlagPublisherOptions {
  readonly bus: Bus;
  readonly stores: Pick<Stores, "flagRecords" | "flags">;
}

/** Gives the nodes what they evaluate: one signed document of all flags, one put a change whatever the size of the fleet. */
export class FlagPublisher {
  /** Queue key that stands for the document; no flag can be called so. */
  static readonly DOCUMENT = "*";
  readonly #options: FlagPublisherOptions;

  constructor(options: FlagPublisherOptions) {
    this.#options = options;
  }

  /** Everything to look at when a term begins. */
  keys(): string[] {
    return [FlagPublisher.DOCUMENT, ...[...this.#options.stores.flagRecords.entries()].map(([name]) => name)];
  }

  /** Calls back with every key that is worth a look. The result unsubscribes. */
  onChange(callback: (key: string) => void): () => void {
    const { stores } = this.#options;
    const stops = [
      stores.flagRecords.onChange((name) => {
        callback(name);
        callback(FlagPublisher.DOCUMENT);
      }),
      // Another controller that still takes itself for the leader may have put an older state there.
      stores.flags.onChange(() => callback(FlagPublisher.DOCUMENT)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  /** Makes the document match the flags, or sees to it that a flag's last change is in the audit trail. */
  async reconcile(key: string): Promise<undefined> {
    const { bus, stores } = this.#options;
    if (key === FlagPublisher.DOCUMENT) return this.#publish();
    const change = stores.flagRecords.get(key)?.value.change;
    if (change !== undefined) await recordFlagChange(bus, change);
    return undefined;
  }

  async #publish(): Promise<undefined> {
    const { flags: store } = this.#options.stores;
    const stored = store.get(ALL_FLAGS);
    const generation = (stored?.value.generation ?? 0n) + 1n;
    const next = create(FlagsSchema, { generation, flags: liveFlags(this.#options.stores).map(forNodes) });
    if (stored !== undefined && sameFlags(stored.value, next)) return;
    if (stored) await store.update(ALL_FLAGS, next, stored.revision);
    else await store.create(ALL_FLAGS, next);
  }
}

/** Nodes need not know who made a flag and what for. */
function forNodes({ updatedAt: _, ...flag }: Flag): Flag {
  return create(FlagSchema, { ...flag, description: "", updatedBy: "" });
}

function sameFlags(a: Flags, b: Flags): boolean {
  return equals(FlagsSchema, { ...a, generation: 0n }, { ...b, generation: 0n });
}
