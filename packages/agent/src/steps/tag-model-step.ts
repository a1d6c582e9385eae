import { ModelService, type TagModelStep } from "@kedge/proto";
import type { StepContext, StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";

/**
 * Moves tags to a version of a model, with the task's own token. Doing it again changes nothing. The version is a number,
 * the name of an output of an earlier step that holds one, or a tag, in this order. Outputs: model, version.
 */
export async function tagModelStep(context: StepContext, action: TagModelStep): Promise<StepResult> {
  const { offer, caPem, log, step, outputs } = context;
  const signal = AbortSignal.any([context.signal, context.detached]);
  const isOutput = !/^\d+$/.test(action.version) && Object.hasOwn(outputs, action.version);
  const wanted = isOutput ? (outputs[action.version] ?? "") : action.version;
  if (wanted === "") throw new StepFailure("INVALID", "model.version: the output with the version is empty");
  // Loaded on demand: grpc-js is the largest thing an agent at rest does not need.
  const { createRpcClient } = await import("@kedge/rpc");
  const client = createRpcClient(ModelService, { address: offer.controllerAddress, caPem, token: offer.runToken });
  try {
    const found = await client.getModel({ model: action.model, version: wanted }, { signal });
    const version = found.version?.version ?? 0;
    for (const tag of action.tags) {
      await client.tagModel({ model: action.model, version, tag }, { signal });
      await log.note(step.name, `${tag} is version ${version} of model ${action.model}`);
    }
    return { outputs: { model: action.model, version: String(version) } };
  } finally {
    client.close();
  }
}
