import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Verdict, VerdictKind, VerdictSchema } from "@kedge/proto";
import type { JudgeVerdict } from "./judge/judge-types.ts";

const KINDS = {
  continue: VerdictKind.CONTINUE,
  pass: VerdictKind.PASS,
  rollback: VerdictKind.ROLLBACK,
} as const satisfies Record<JudgeVerdict["verdict"], VerdictKind>;

/** A judge's verdict as the message that rollouts and jobs carry. `nowMs` is when it was reached. */
export function verdictMessage(verdict: JudgeVerdict, nowMs: number): Verdict {
  return create(VerdictSchema, {
    kind: KINDS[verdict.verdict],
    metric: verdict.metric,
    effect: verdict.effect,
    effectLow: verdict.interval.low,
    effectHigh: verdict.interval.high,
    moreRequests: BigInt(verdict.moreRequests ?? 0),
    evidence: verdict.evidence,
    reason: verdict.reason,
    at: timestampFromMs(nowMs),
  });
}
