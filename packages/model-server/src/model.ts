import { errorMessage, isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import type { FlagAttributes, FlagSet } from "@kedge/rollout/flags";
import { handlerFlags } from "./flags/handler-flags.ts";
import type { Handler, HandlerContext, HandlerRequest, HandlerResponse, PushedMetrics } from "./handler.ts";
import { NO_METRICS } from "./handler-metrics.ts";
import { loadHandler } from "./load-handler.ts";
import { findModelFile, type ModelSettings, type PredictionRule, readModelSettings } from "./model-settings.ts";
import { readOnnxMetadata } from "./onnx-metadata.ts";
import { loadSession, type ModelSession } from "./onnx-session.ts";
import { predictLabel, sanitiseLabel } from "./prediction.ts";
import { matchInputs, type Signature } from "./signature.ts";
import { filledTensor, isConsistent, type Tensor, type Tensors, tensorError } from "./tensor.ts";

/** What a model is loaded with. */
export interface ModelOptions {
  readonly modelDir: string;
  readonly name: string;
  readonly version: string;
  readonly threads: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the handler's metrics go. */
  readonly metrics: PushedMetrics;
  /** The node's feature flags as they are now. */
  readonly flags: () => FlagSet | undefined;
  /** What flags are told of every request. */
  readonly attributes: FlagAttributes;
}

/** One request's way through the model. */
export interface ModelRequest extends HandlerRequest {
  /** Names of the wanted outputs; undefined = all. */
  readonly outputNames: readonly string[] | undefined;
}

/** What a request gave, and where its time went. */
export interface ModelResult extends HandlerResponse {
  readonly label: string | undefined;
  /** Rows: the first dimension of the first input, 1 without one. */
  readonly batch: number;
  readonly inputMs: number;
  readonly inferMs: number;
  readonly outputMs: number;
}

/** A loaded model with its handler: request tensors in, answer tensors out. */
export class Model {
  readonly settings: ModelSettings;
  readonly signature: Signature;
  readonly #options: ModelOptions;
  readonly #session: ModelSession;
  readonly #handler: Handler;
  readonly #prediction: PredictionRule | undefined;

  private constructor(options: ModelOptions, session: ModelSession, handler: Handler, settings: ModelSettings) {
    this.#options = options;
    this.#session = session;
    this.#handler = handler;
    this.settings = settings;
    this.signature = session.signature;
    this.#prediction = settings.prediction;
  }

  /**
   * Loads model, settings and handler of a folder.
   *
   * @throws KedgeError INVALID_MODEL with what is wrong with the folder.
   */
  static async load(options: ModelOptions): Promise<Model> {
    const file = await findModelFile(options.modelDir);
    const settings = await readModelSettings(options.modelDir);
    const labels = (await readOnnxMetadata(file)).get("kedge.labels");
    const handler = await loadHandler(options.modelDir);
    const session = await loadSession(file, options.threads);
    const fromFile =
      labels === undefined ? undefined : { output: undefined, labels: labels.split(","), threshold: 0.5 };
    return new Model(options, session, handler, { ...settings, prediction: settings.prediction ?? fromFile });
  }

  /** Sends the warm-up request through handler and model. Throws KedgeError INVALID_MODEL with the reason. */
  async warmUp(signal: AbortSignal): Promise<void> {
    try {
      for (let run = 0; run < this.settings.warmUpRuns; run++) {
        const request = { parameters: {}, inputs: this.#warmUpInputs(), outputNames: undefined };
        await this.#run(request, { signal, metrics: NO_METRICS });
      }
    } catch (error) {
      throw new KedgeError("INVALID_MODEL", `the warm-up request failed: ${errorMessage(error)}`, { cause: error });
    }
  }

  #warmUpInputs(): Tensors {
    const listed = this.settings.warmUpInputs;
    const inputs: Record<string, Tensor> = Object.create(null);
    for (const spec of this.signature.inputs) {
      const shape = spec.shape.map((size) => (typeof size === "number" ? size : 1));
      const input = listed === undefined ? { shape, fill: 0 } : listed.get(spec.name);
      if (input !== undefined) inputs[spec.name] = filledTensor(spec.datatype, input.shape, input.fill);
    }
    return inputs;
  }

  /**
   * Answers one request. May run concurrently as far as the handler allows it.
   *
   * @throws KedgeError INVALID_FIELD for what the client must change, HANDLER_FAILED for what the handler did.
   */
  async infer(request: ModelRequest, signal: AbortSignal): Promise<ModelResult> {
    return await this.#run(request, { signal, metrics: this.#options.metrics });
  }

  async #run(request: ModelRequest, given: Pick<ModelCallOptions, "signal" | "metrics">): Promise<ModelResult> {
    const call = new ModelCall({ session: this.#session, model: this.#options, settings: this.settings, ...given });
    const { clock } = this.#options;
    const { preprocess, predict, postprocess } = this.#handler;
    const start = clock.monotonic();
    const prepared = preprocess ? await hook("preprocess", () => preprocess(request, call.context)) : request;
    const predicted = clock.monotonic();
    const direct = predict === undefined && postprocess === undefined;
    const raw = predict
      ? await hook("predict", () => predict(prepared, call.context))
      : { outputs: await call.infer(prepared.inputs, direct ? request.outputNames : undefined) };
    const answered = clock.monotonic();
    const response = postprocess ? await hook("postprocess", () => postprocess(raw, call.context)) : raw;
    const outputs = direct ? response.outputs : selectOutputs(response?.outputs, request.outputNames);
    const label = call.label ?? (this.#prediction && predictLabel(this.#prediction, response.outputs));
    return {
      outputs,
      ...(response.parameters === undefined ? {} : { parameters: response.parameters }),
      label: label === undefined ? undefined : sanitiseLabel(label),
      batch: Object.values(request.inputs)[0]?.shape[0] ?? 1,
      inputMs: predicted - start,
      inferMs: answered - predicted,
      outputMs: clock.monotonic() - answered,
    };
  }

  /** Frees the runtime's memory. Nothing may run then or later. */
  async release(): Promise<void> {
    await this.#session.release();
  }
}

interface ModelCallOptions {
  readonly session: ModelSession;
  readonly model: ModelOptions;
  readonly settings: ModelSettings;
  readonly signal: AbortSignal;
  readonly metrics: PushedMetrics;
}

/** One request inside the model: the context its handler gets, and the label it chose. */
class ModelCall {
  readonly context: HandlerContext;
  label: string | undefined;
  readonly #options: ModelCallOptions;

  constructor(options: ModelCallOptions) {
    const { name, version, logger, flags, attributes } = options.model;
    this.#options = options;
    this.context = {
      model: { name, version },
      log: logger,
      signal: options.signal,
      metrics: options.metrics,
      flags: handlerFlags(flags(), attributes),
      infer: (inputs) => this.infer(inputs, undefined),
      label: (label) => {
        this.label = String(label);
      },
      reject: (message) => {
        throw new KedgeError("INVALID_FIELD", String(message));
      },
    };
  }

  async infer(given: Tensors, outputNames: readonly string[] | undefined): Promise<Tensors> {
    const { session, settings, signal } = this.#options;
    const inputs = matchInputs(session.signature, given, settings.maxBatchSize);
    const names = session.signature.outputs.map((output) => output.name);
    const unknown = outputNames?.find((name) => !names.includes(name));
    if (unknown !== undefined) throw tensorError(unknown, `not an output of this model (${names.join(", ")})`);
    for (const [name, tensor] of inputs) {
      if (!isConsistent(tensor)) throw new KedgeError("HANDLER_FAILED", `the handler made an illegal input '${name}'`);
    }
    signal.throwIfAborted();
    return session.run(inputs, outputNames);
  }
}

/** Runs user code; what it throws reaches the client as a message only, the log has the rest. */
async function hook<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  try {
    const result = await run();
    if (typeof result === "object" && result !== null) return result;
  } catch (error) {
    if (isKedgeError(error)) throw error;
    throw new KedgeError("HANDLER_FAILED", `handler ${name}: ${errorMessage(error).slice(0, 300)}`, { cause: error });
  }
  throw new KedgeError("HANDLER_FAILED", `handler ${name} returned no object`);
}

/** The wanted outputs of what a handler answered, in the wanted order, each checked. */
function selectOutputs(outputs: Tensors | undefined, names: readonly string[] | undefined): Tensors {
  if (outputs === undefined) throw new KedgeError("HANDLER_FAILED", "the handler's answer has no outputs");
  const selected: Record<string, Tensor> = Object.create(null);
  for (const name of names ?? Object.keys(outputs)) {
    const tensor = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
    if (tensor === undefined)
      throw tensorError(name, `not an output of this model (${Object.keys(outputs).join(", ")})`);
    if (!isConsistent(tensor)) throw new KedgeError("HANDLER_FAILED", `the handler made an illegal output '${name}'`);
    selected[name] = tensor;
  }
  return selected;
}
