import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AbTestStrategySchema,
  type CanaryStep,
  CanaryStepSchema,
  type CanaryStrategySchema,
  type CountOrPercentSchema,
  DeadlineAction,
  MatchKind,
  type RequestKeySchema,
  RequestSource,
  type ShadowStrategySchema,
  type Strategy,
  StrategySchema,
} from "@kedge/proto";
import type { StrategyFields } from "./strategy-schema.ts";

const DEFAULT_STEPS: readonly CanaryStep[] = [
  create(CanaryStepSchema, { weightPercent: 10, holdSeconds: 30 }),
  create(CanaryStepSchema, { weightPercent: 50, holdSeconds: 30 }),
];
/** An instant return is what blue-green is for. */
const BLUE_GREEN_DELAY_SECONDS = 600;

/** The proto form of a checked strategy, defaults filled. */
export function compileStrategy(fields: StrategyFields): Strategy {
  const isBlueGreen = fields["blue-green"] !== undefined;
  return create(StrategySchema, {
    kind: compileKind(fields),
    progressDeadlineSeconds: fields["progress-deadline"] ?? 600,
    deadlineAction: fields["on-deadline"] === "pause" ? DeadlineAction.PAUSE : DeadlineAction.ABORT,
    scaleDownDelaySeconds: fields["scale-down-delay"] ?? (isBlueGreen ? BLUE_GREEN_DELAY_SECONDS : 0),
    ...(fields.sticky === undefined ? {} : { sticky: compileKey(fields.sticky) }),
    ...(fields["warm-up"] === undefined ? {} : { warmUp: compileWarmUp(fields["warm-up"]) }),
  });
}

function compileWarmUp({ time = 0, requests = 0 }: NonNullable<StrategyFields["warm-up"]>) {
  return { seconds: time, requests };
}

type KindInit = NonNullable<MessageInitShape<typeof StrategySchema>["kind"]>;

function compileKind(fields: StrategyFields): KindInit {
  if (fields["all-at-once"] !== undefined) return { case: "allAtOnce", value: {} };
  if (fields["blue-green"] !== undefined) {
    const { preview = 0, manual = false } = fields["blue-green"] ?? {};
    return { case: "blueGreen", value: { previewSeconds: preview, manual } };
  }
  if (fields.rolling !== undefined) {
    const maxSurge = compileAmount(fields.rolling?.["max-surge"] ?? 1);
    const maxUnavailable = compileAmount(fields.rolling?.["max-unavailable"] ?? 0);
    return { case: "rolling", value: { maxSurge, maxUnavailable } };
  }
  if (fields["ab-test"] !== undefined) return { case: "abTest", value: compileAbTest(fields["ab-test"]) };
  if (fields.shadow !== undefined) return { case: "shadow", value: compileShadow(fields.shadow) };
  return { case: "canary", value: compileCanary(fields.canary) };
}

function compileCanary(canary: StrategyFields["canary"]): MessageInitShape<typeof CanaryStrategySchema> {
  const steps = canary?.steps.map(compileStep) ?? [...DEFAULT_STEPS];
  if (steps.at(-1)?.weightPercent !== 100) steps.push(create(CanaryStepSchema, { weightPercent: 100 }));
  const waves = (canary?.waves ?? []).map((wave) =>
    typeof wave === "string" ? { name: wave } : { name: wave.name, nodeSelector: wave.on },
  );
  return { steps, waves, maxFailedPercent: canary?.["max-failed-percent"] ?? 0 };
}

type Step = NonNullable<StrategyFields["canary"]>["steps"][number];

function compileStep(step: Step): CanaryStep {
  if (typeof step === "number") return create(CanaryStepSchema, { weightPercent: step });
  return create(CanaryStepSchema, {
    weightPercent: step.weight,
    holdSeconds: step.hold ?? 0,
    minRequests: step["min-requests"] ?? 0,
    manual: step.manual ?? false,
    unjudged: !(step.judged ?? true),
  });
}

function compileAbTest(test: NonNullable<StrategyFields["ab-test"]>): MessageInitShape<typeof AbTestStrategySchema> {
  const { match, hash, weight, run, "min-requests": minRequests = 0 } = test;
  return {
    by:
      match === undefined
        ? { case: "hash", value: compileKey(hash ?? {}) }
        : {
            case: "match",
            value: {
              key: compileKey(match),
              kind: match.values === undefined ? MatchKind.PREFIX : MatchKind.EXACT,
              values: match.values ?? match.prefixes ?? [],
            },
          },
    weightPercent: weight ?? 0,
    runSeconds: run ?? 0,
    minRequests,
  };
}

function compileShadow(shadow: NonNullable<StrategyFields["shadow"]>): MessageInitShape<typeof ShadowStrategySchema> {
  return {
    mirrorPercent: shadow.mirror ?? 100,
    runSeconds: shadow.run,
    minCompared: shadow["min-compared"] ?? 100,
    maxDifferingBasisPoints: Math.round((shadow["max-differing-percent"] ?? 0) * 100),
    promote: shadow.promote ?? false,
  };
}

type Key = { readonly header?: string | undefined; readonly cookie?: string | undefined };

function compileKey({ header, cookie = "" }: Key): MessageInitShape<typeof RequestKeySchema> {
  return header === undefined
    ? { source: RequestSource.COOKIE, name: cookie }
    : { source: RequestSource.HEADER, name: header };
}

function compileAmount(value: number | string): MessageInitShape<typeof CountOrPercentSchema> {
  return typeof value === "number"
    ? { value: { case: "count", value } }
    : { value: { case: "percent", value: Number.parseInt(value, 10) } };
}
