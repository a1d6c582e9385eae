import { clone } from "@bufbuild/protobuf";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { type ApplyFlagResponse, type Flag, FlagSchema } from "@kedge/proto";
import type { Session } from "./session.ts";

const MAX_RACES = 5;

/**
 * Changes a flag as it is now; one that somebody else changed meanwhile is read again.
 *
 * @throws KedgeError FLAG_NOT_FOUND, CONFLICT; whatever the edit throws.
 */
export async function changeFlag(
  { client }: Session,
  change: { readonly name: string; readonly reason: string; readonly edit: (flag: Flag) => void },
): Promise<ApplyFlagResponse> {
  for (let attempt = 1; ; attempt++) {
    const { flag: stored } = await client.flags.getFlag({ name: change.name });
    if (stored === undefined) throw new KedgeError("FLAG_NOT_FOUND", `no flag is called ${change.name}`);
    const flag = clone(FlagSchema, stored);
    change.edit(flag);
    try {
      return await client.flags.applyFlag({ flag, expectedGeneration: stored.generation, reason: change.reason });
    } catch (error) {
      if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
    }
  }
}
