import type { MessageInitShape } from "@bufbuild/protobuf";
import { ModelService, type ModelStep, type PushModelRequestSchema } from "@kedge/proto";
import { listModelFiles, type ModelFile, readBlocks } from "./model-files.ts";
import { lineageOf, type StepContext, type StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";

type Part = MessageInitShape<typeof PushModelRequestSchema>;

/**
 * Pushes a folder of the workspace to the model registry, with the task's own token.
 * Outputs: model, version, digest. Repeating it makes no second version.
 */
export async function modelStep(context: StepContext, action: ModelStep): Promise<StepResult> {
  const { offer, workspace, caPem, log, step } = context;
  const files = await listModelFiles(workspace, action.path);
  const signal = AbortSignal.any([context.signal, context.detached]);
  // Loaded on demand: grpc-js is the largest thing an agent at rest does not need.
  const { createRpcClient } = await import("@kedge/rpc");
  const client = createRpcClient(ModelService, { address: offer.controllerAddress, caPem, token: offer.runToken });
  try {
    const { version, existed } = await client.pushModel(parts(context, action, files, signal), { signal });
    if (version === undefined)
      throw new StepFailure("INFRASTRUCTURE", "model: the registry answered without a version");
    const verb = existed ? "is already there as" : "pushed as";
    await log.note(step.name, `model ${action.model} ${verb} version ${version.version} (${version.digest})`);
    return { outputs: { model: action.model, version: String(version.version), digest: version.digest } };
  } finally {
    client.close();
  }
}

async function* parts(
  context: StepContext,
  action: ModelStep,
  files: readonly ModelFile[],
  signal: AbortSignal,
): AsyncIterable<Part> {
  const header = {
    model: action.model,
    tags: action.tags,
    metrics: { ...context.metrics },
    lineage: lineageOf(context),
    force: action.force,
    idempotencyKey: `${context.ref.taskId}.${context.index}`,
  };
  yield { part: { case: "header", value: header } };
  for (const file of files) {
    for await (const data of readBlocks(file.source, signal)) {
      yield { part: { case: "file", value: { path: file.path, data } } };
    }
  }
}
