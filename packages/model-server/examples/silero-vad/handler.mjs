/**
 * Voice activity detection with Silero VAD (v5 and v6): a client sends one frame of 512 samples at 16 kHz as
 * `input` FP32 [1,512]; this handler adds the recurrent state and the sample rate, and labels the answer.
 *
 * With a `sequence_id` parameter the state is kept between the frames of that sequence (`sequence_start: true` resets,
 * `sequence_end: true` forgets it); without, every frame is judged alone. A client may also send `state` and `sr`.
 */
const FRAME_SAMPLES = 512;
const SAMPLE_RATE = 16000n;
const THRESHOLD = 0.5;
/** Sequences kept; the least recently used one is forgotten first. */
const MAX_SEQUENCES = 256;

/** @type {Map<string, import("@kedge/model-server").Tensor>} */
const states = new Map();

/** @type {import("@kedge/model-server").Handler["predict"]} */
export async function predict(request, context) {
  const { input, state, sr } = request.inputs;
  if (input?.shape.length !== 2 || input.shape[0] !== 1 || input.shape[1] !== FRAME_SAMPLES) {
    context.reject(`input: expected one frame, FP32 [1,${FRAME_SAMPLES}]`);
  }
  const { sequence_id: id, sequence_start: starts, sequence_end: ends } = request.parameters;
  const key = id === undefined ? undefined : String(id).slice(0, 128);
  const remembered = starts || key === undefined ? undefined : states.get(key);
  const outputs = await context.infer({ input, state: state ?? remembered ?? freshState(), sr: sr ?? sampleRate() });
  if (key !== undefined) remember(key, ends ? undefined : outputs.stateN);
  context.label(outputs.output.data[0] >= THRESHOLD ? "speech" : "silence");
  return { outputs };
}

function freshState() {
  return { datatype: "FP32", shape: [2, 1, 128], data: new Float32Array(256) };
}

function sampleRate() {
  return { datatype: "INT64", shape: [], data: BigInt64Array.of(SAMPLE_RATE) };
}

function remember(key, state) {
  states.delete(key);
  if (state !== undefined) states.set(key, state);
  if (states.size > MAX_SEQUENCES) states.delete(states.keys().next().value);
}
