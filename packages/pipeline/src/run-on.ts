import { RunOn } from "@kedge/proto";
import { z } from "zod";

/** When something runs, by what became of what was before it. */
export const RUN_ON = { success: RunOn.SUCCESS, failure: RunOn.FAILURE, always: RunOn.ALWAYS } as const;

/** One of RUN_ON's keys. */
export const runOn = z.enum(["success", "failure", "always"]);
