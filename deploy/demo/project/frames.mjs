// Audio as the callers send it: frames of 512 samples at 16 kHz, either silent or a tone of 220 Hz.
export const FRAME_SAMPLES = 512;

/**
 * @param {number} loudness 0 to 1
 * @param {number} index the frame's place in the stream
 */
export function frame(loudness, index) {
  /** @param {number} sample */
  const at = (sample) => (2 * Math.PI * 220 * (sample + FRAME_SAMPLES * index)) / 16000;
  return Float32Array.from({ length: FRAME_SAMPLES }, (_, sample) => loudness * Math.sin(at(sample)));
}

/**
 * A frame as the handler gets it.
 * @param {Float32Array} data
 * @param {Readonly<Record<string, string | boolean>>} parameters
 */
export function request(data, parameters = {}) {
  return { inputs: { input: { datatype: "FP32", shape: [1, data.length], data } }, parameters };
}
