import { create } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type TensorProto, TensorProto_DataType, TensorProtoSchema } from "@kedge/proto/onnx-graph";

/** A weight as 8-bit integers: weight = quantized * scale of its channel. */
export interface QuantizedTensor {
  readonly quantized: TensorProto;
  /** One FP32 per channel. */
  readonly scales: TensorProto;
  /** Largest difference to the weight as it was. */
  readonly maxError: number;
}

/** Symmetric: -128 is not used, so that a weight and its negative differ in the sign only. */
const LARGEST = 127;

/** Tells whether a tensor holds FP32 weights of at least so many elements, in channels that are worth a scale. */
export function isQuantizable({ dims, dataType }: TensorProto, minElements: number): boolean {
  const sizes = dims.map(Number);
  const elements = sizes.reduce((product, size) => product * size, 1);
  return dataType === TensorProto_DataType.FLOAT && sizes.length >= 2 && elements >= Math.max(minElements, 1);
}

/**
 * Rounds each channel of a weight to 255 steps of its own, the largest weight of the channel being the last.
 * The scheme: Jacob et al., "Quantization and Training of Neural Networks" (2017), section 2, with zero point 0.
 *
 * @param axis which dimension counts the channels.
 * @throws KedgeError INVALID_MODEL when the data is missing, elsewhere, or not finite.
 */
export function quantizeTensor(tensor: TensorProto, axis: number): QuantizedTensor {
  const { dims, name = "" } = tensor;
  const sizes = dims.map(Number);
  const weights = readWeights(tensor, sizes);
  const channels = sizes[axis] ?? 1;
  const inner = sizes.slice(axis + 1).reduce((product, size) => product * size, 1);
  const scales = new Float32Array(channels);
  for (const [i, weight] of weights.entries()) {
    const channel = Math.floor(i / inner) % channels;
    scales[channel] = Math.max(scales[channel] ?? 0, Math.abs(weight));
  }
  for (const [channel, largest] of scales.entries()) scales[channel] = largest === 0 ? 1 : largest / LARGEST;
  const values = new Int8Array(weights.length);
  let maxError = 0;
  for (const [i, weight] of weights.entries()) {
    const scale = scales[Math.floor(i / inner) % channels] ?? 1;
    const value = Math.max(-LARGEST, Math.min(LARGEST, Math.round(weight / scale)));
    values[i] = value;
    maxError = Math.max(maxError, Math.abs(weight - value * scale));
  }
  const { INT8, FLOAT } = TensorProto_DataType;
  const quantized = { name, dims, dataType: INT8, rawData: new Uint8Array(values.buffer) };
  const scale = { name, dims: [BigInt(channels)], dataType: FLOAT, rawData: new Uint8Array(scales.buffer) };
  return { quantized: create(TensorProtoSchema, quantized), scales: create(TensorProtoSchema, scale), maxError };
}

function readWeights({ name, rawData, floatData, dataLocation, externalData }: TensorProto, sizes: readonly number[]) {
  const shown = JSON.stringify(name?.slice(0, 80));
  if (dataLocation === 1 || externalData.length > 0) {
    throw new KedgeError("INVALID_MODEL", `the weights of ${shown} are in another file; save the model as one file`);
  }
  // The bytes in the message may lie at any offset.
  const weights =
    rawData === undefined || rawData.length === 0
      ? Float32Array.from(floatData)
      : new Float32Array(new Uint8Array(rawData).buffer, 0, Math.floor(rawData.length / 4));
  const count = sizes.reduce((product, size) => product * size, 1);
  if (weights.length !== count) {
    throw new KedgeError("INVALID_MODEL", `${shown} has ${weights.length} weights and dimensions for ${count}`);
  }
  if (!weights.every(Number.isFinite))
    throw new KedgeError("INVALID_MODEL", `${shown} has weights that are not finite`);
  return weights;
}
