import { create } from "@bufbuild/protobuf";
import { RetryOn, type RetryRule, RetryRuleSchema } from "@kedge/proto";
import { z } from "zod";
import { duration, report, whole } from "./fields.ts";

const ON = {
  infrastructure: RetryOn.INFRASTRUCTURE,
  "lost-agent": RetryOn.LOST_AGENT,
  "exit-code": RetryOn.EXIT_CODE,
  timeout: RetryOn.TIMEOUT,
  "out-of-memory": RetryOn.OUT_OF_MEMORY,
} as const;

const classes = z.enum(["infrastructure", "lost-agent", "exit-code", "timeout", "out-of-memory"]);

const rule = z
  .strictObject({
    on: z.union([classes.transform((it) => [it]), z.array(classes).min(1)]),
    "exit-codes": z.array(whole(1, 255)).min(1).max(100).optional(),
    attempts: whole(1, 20).optional().meta({ description: "Attempts in all that may end so." }),
    delay: duration.optional().meta({ description: "Wait before the next attempt; doubles each time." }),
  })
  .superRefine((value, ctx) => {
    if (value["exit-codes"] === undefined || value.on.includes("exit-code")) return;
    report(ctx, "exit-codes need on: exit-code", { path: ["exit-codes"], atKey: true });
  })
  .transform(
    ({ on, "exit-codes": exitCodes = [], attempts = 0, delay = 0 }): RetryRule =>
      create(RetryRuleSchema, { on: on.map((it) => ON[it]), exitCodes, maxAttempts: attempts, delaySeconds: delay }),
  );

/** The `retry` of a job. */
export const retrySchema = z.strictObject({
  attempts: whole(1, 20).optional().meta({ description: "Attempts in all, lost nodes included." }),
  "on-lost": z.enum(["retry", "fail", "hold"]).optional(),
  rules: z.array(rule).min(1).max(20).optional().meta({
    description: "Which failures are tried again; the first that fits counts. Default: infrastructure, lost-agent.",
  }),
});
