import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Bus, recordFlagChange } from "@kedge/bus";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { type Clock, newId } from "@kedge/kernel";
import { type Flag, type FlagChange, FlagChangeSchema, FlagRecordSchema, FlagSchema } from "@kedge/proto";
import { assertFlag, describeFlagChange, sameFlag, withPlaces } from "@kedge/rollout/flags";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { findFlag, liveFlags } from "./live-flags.ts";

/** Who changes a flag, why, and what they take it to be. */
export interface FlagOrigin {
  readonly by: string;
  /** For the audit trail. */
  readonly reason: string;
  /** Generation that the flag must have, 0: none may be there; undefined: whatever it is. */
  readonly expectedGeneration: bigint | undefined;
}

/** What applying a flag led to. */
export interface AppliedFlag {
  readonly flag: Flag;
  readonly changed: boolean;
}

/** What a FlagWriter works with. */
export interface FlagWriterOptions {
  readonly bus: Bus;
  readonly stores: Pick<Stores, "flagRecords">;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

const MAX_RACES = 20;
const MAX_REASON = 500;
/** All flags together are one document for the nodes. */
const MAX_TOTAL_BYTES = 768 * 1024;

/**
 * Changes flags by compare-and-set, each change with its line for the audit trail in the same write. The line goes to the
 * trail before the next change may overwrite it, whoever makes that and whatever was killed in between.
 */
export class FlagWriter {
  readonly #options: FlagWriterOptions;

  constructor(options: FlagWriterOptions) {
    this.#options = options;
  }

  /**
   * Makes a flag what it says; the same again changes nothing. Its splits keep their users as far as shares allow.
   *
   * @throws KedgeError INVALID_FIELD, TOO_LARGE; CONFLICT when the flag is not of the expected generation.
   */
  apply(wanted: Flag, origin: FlagOrigin): Promise<AppliedFlag> {
    assertFlag(wanted);
    return this.#change(wanted.name, origin, (before) => {
      const flag = withPlaces(wanted, before);
      assertFlag(flag);
      this.#assertRoom(flag);
      return before !== undefined && sameFlag(before, flag) ? before : flag;
    });
  }

  /** Deletes a flag. @throws KedgeError FLAG_NOT_FOUND; CONFLICT when it is not of the expected generation. */
  async delete(name: string, origin: FlagOrigin): Promise<void> {
    await this.#change(name, origin, () => {
      findFlag(this.#options.stores, name);
      return undefined;
    });
  }

  async #change(
    name: string,
    origin: FlagOrigin,
    edit: (before: Flag | undefined) => Flag | undefined,
  ): Promise<AppliedFlag> {
    const { bus, stores } = this.#options;
    if (origin.reason.length > MAX_REASON) {
      throw new KedgeError("INVALID_FIELD", `reason must have at most ${MAX_REASON} characters`, { field: "reason" });
    }
    for (let attempt = 1; ; attempt++) {
      const stored = stores.flagRecords.get(name);
      const before = stored?.value.flag;
      assertGeneration(name, before, origin.expectedGeneration);
      const edited = edit(before);
      if (edited !== undefined && edited === before) return { flag: before, changed: false };
      const change = this.#line(name, origin, { before, edited, previous: stored?.value.change });
      const record = create(FlagRecordSchema, {
        change,
        ...(change.after === undefined ? {} : { flag: change.after }),
      });
      try {
        if (stored?.value.change !== undefined) await recordFlagChange(bus, stored.value.change);
        if (stored) await stores.flagRecords.update(name, record, stored.revision);
        else await stores.flagRecords.create(name, record);
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
        continue;
      }
      await this.#tell(change);
      return { flag: change.after ?? create(FlagSchema, { name }), changed: true };
    }
  }

  #line(
    flag: string,
    { by, reason }: FlagOrigin,
    parts: { before: Flag | undefined; edited: Flag | undefined; previous: FlagChange | undefined },
  ): FlagChange {
    const { clock } = this.#options;
    const { before, edited, previous } = parts;
    const at = timestampFromMs(clock.now());
    // A flag that is made anew goes on counting, so that no generation stands for two states.
    const generation = ((before ?? previous?.before)?.generation ?? 0n) + 1n;
    const after = edited === undefined ? undefined : { ...edited, generation, updatedAt: at, updatedBy: by };
    return create(FlagChangeSchema, {
      ...{ id: newId(clock), flag, at, by, reason },
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    });
  }

  async #tell(change: FlagChange): Promise<void> {
    const { bus, events } = this.#options;
    const message = `${describeFlagChange(change.before, change.after).join("; ")}, by ${change.by}`;
    events.record({ kind: "flag", name: change.flag, reason: "Changed", message });
    // So that whoever made the change finds it in the trail at once. The leader's loop makes good what fails here.
    await recordFlagChange(bus, change).catch(() => {});
  }

  #assertRoom(flag: Flag): void {
    const others = liveFlags(this.#options.stores).filter(({ name }) => name !== flag.name);
    const bytes = [...others, flag].reduce((sum, each) => sum + toBinary(FlagSchema, each).byteLength, 0);
    if (bytes <= MAX_TOTAL_BYTES) return;
    const message = `all flags would have ${bytes} bytes together, ${MAX_TOTAL_BYTES} are allowed`;
    throw new KedgeError("TOO_LARGE", message, { field: "flag", hint: "delete flags that nobody asks for any more" });
  }
}

function assertGeneration(name: string, flag: Flag | undefined, expected: bigint | undefined): void {
  const actual = flag?.generation ?? 0n;
  if (expected === undefined || expected === actual) return;
  const is = actual === 0n ? "there is none" : `it has generation ${actual}`;
  throw new KedgeError("CONFLICT", `flag ${name}: ${is}, expected was ${expected}`, {
    field: "expected_generation",
    hint: "read the flag again",
  });
}
