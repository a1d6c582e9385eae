import { isKedgeError } from "@kedge/domain";
import { type GateBaseline, type GateJob, ModelService } from "@kedge/proto";
import type { StepContext, StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";

/** Baseline metrics by "model:version". */
type Baselines = ReadonlyMap<string, Readonly<Record<string, number>>>;

/** Holds what the job has reported so far against the rules. Each rule's answer is in the log. */
export async function gateStep(context: StepContext, gate: GateJob): Promise<StepResult> {
  const { log, metrics, step } = context;
  // Loaded on demand, as most jobs have no gate.
  const { evaluateRule } = await import("@kedge/pipeline");
  const named = gate.rules.flatMap(({ baseline }) => (baseline === undefined ? [] : [baseline]));
  const baselines = named.length === 0 ? new Map() : await fetchBaselines(context, named);
  const results = gate.rules.map((rule) => {
    const value = Object.hasOwn(metrics, rule.metric) ? metrics[rule.metric] : undefined;
    return evaluateRule(rule, value, (model, version, metric) => baselines.get(keyOf({ model, version }))?.[metric]);
  });
  for (const { message } of results) await log.note(step.name, message);
  const broken = results.filter(({ passed }) => !passed);
  if (broken.length > 0) throw new StepFailure("GATE", broken.map(({ message }) => message).join("; "));
  return { outputs: {} };
}

async function fetchBaselines(context: StepContext, named: readonly GateBaseline[]): Promise<Baselines> {
  const { offer, caPem } = context;
  const signal = AbortSignal.any([context.signal, context.detached]);
  const { createRpcClient } = await import("@kedge/rpc");
  const client = createRpcClient(ModelService, { address: offer.controllerAddress, caPem, token: offer.runToken });
  const found = new Map<string, Readonly<Record<string, number>>>();
  try {
    for (const { model, version } of named) {
      try {
        const answer = await client.getModel({ model, version }, { signal });
        found.set(keyOf({ model, version }), answer.version?.metrics ?? {});
      } catch (error) {
        // Before the first version there is nothing to compare with.
        if (!isKedgeError(error, "MODEL_NOT_FOUND")) throw error;
      }
    }
    return found;
  } finally {
    client.close();
  }
}

function keyOf({ model, version }: Pick<GateBaseline, "model" | "version">): string {
  return `${model}:${version}`;
}
