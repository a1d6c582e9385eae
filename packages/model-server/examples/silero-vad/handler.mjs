/**
 * Voice activity detection with Silero VAD (v5 and v6): a client sends one frame of 512 samples at 16 kHz as
 * `input` FP32 [1,512]; this handler puts the last 64 samples of the frame before in front of it (the models are
 * trained that way; v6 hears nothing without), adds the recurrent state and the sample rate, and labels the answer.
 *
 * With a `sequence_id` parameter both are kept between the frames of that sequence (`sequence_start: true` resets,
 * `sequence_end: true` forgets); without, every frame is judged alone, after silence. A client may also send `state`
 * and `sr` itself.
 */
const FRAME_SAMPLES = 512;
const CONTEXT_SAMPLES = 64;
const SAMPLE_RATE = 16000n;
const THRESHOLD = 0.5;
/** Sequences kept; the least recently used one is forgotten first. */
const MAX_SEQUENCES = 256;

/**
 * What is remembered of a sequence.
 * @typedef {{ state: import("@kedge/model-server").Tensor, context: Float32Array }} Memory
 */

/** @type {Map<string, Memory>} */
const memories = new Map();

/** @type {import("@kedge/model-server").Handler["predict"]} */
export async function predict(request, context) {
  const { input, state, sr } = request.inputs;
  if (input?.datatype !== "FP32" || input.shape.length !== 2 || input.data.length !== FRAME_SAMPLES) {
    context.reject(`input: expected one frame, FP32 [1,${FRAME_SAMPLES}]`);
  }
  const { sequence_id: id, sequence_start: starts, sequence_end: ends } = request.parameters;
  const key = id === undefined ? undefined : String(id).slice(0, 128);
  const memory = (!starts && memories.get(key)) || silence();
  const outputs = await context.infer({
    input: withContext(memory.context, input),
    state: state ?? memory.state,
    sr: sr ?? { datatype: "INT64", shape: [], data: BigInt64Array.of(SAMPLE_RATE) },
  });
  if (key !== undefined) {
    remember(key, ends ? undefined : { state: outputs.stateN, context: input.data.slice(-CONTEXT_SAMPLES) });
  }
  context.label(outputs.output.data[0] >= THRESHOLD ? "speech" : "silence");
  return { outputs };
}

/** @returns {Memory} */
function silence() {
  const state = { datatype: "FP32", shape: [2, 1, 128], data: new Float32Array(256) };
  return { state, context: new Float32Array(CONTEXT_SAMPLES) };
}

function withContext(context, input) {
  const data = new Float32Array(CONTEXT_SAMPLES + FRAME_SAMPLES);
  data.set(context);
  data.set(input.data, CONTEXT_SAMPLES);
  return { datatype: "FP32", shape: [1, data.length], data };
}

function remember(key, memory) {
  memories.delete(key);
  if (memory !== undefined) memories.set(key, memory);
  if (memories.size > MAX_SEQUENCES) memories.delete(memories.keys().next().value);
}
