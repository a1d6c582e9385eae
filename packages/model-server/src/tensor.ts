import { KedgeError } from "@kedge/domain";
import { type Datatype, datatypeInfo, isDatatype, type NumericData } from "./datatype.ts";

/** Elements in row-major order. BYTES elements are strings; BOOL is 0 or 1; FP16 is the raw 16 bits. */
export type TensorData = NumericData | readonly string[];

/** One tensor, as handlers and the runtime see it. */
export interface Tensor {
  readonly datatype: Datatype;
  /** Empty for a scalar. */
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** Tensors by name. Objects from clients are made without a prototype. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** More dimensions than any model has; bounds the recursion over nested JSON arrays. */
export const MAX_RANK = 16;

/** How many elements a shape holds: 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The error for a tensor that is not as it must be. */
export function tensorError(name: string, problem: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `tensor '${name.slice(0, 80)}': ${problem}`, { field: name.slice(0, 80) });
}

/** A tensor of this shape with every element `fill`; BYTES elements are the number's digits, or empty for 0. */
export function filledTensor(datatype: Datatype, shape: readonly number[], fill = 0): Tensor {
  const count = elementCount(shape);
  if (datatype === "BYTES") return { datatype, shape, data: Array<string>(count).fill(fill === 0 ? "" : String(fill)) };
  const info = datatypeInfo(datatype);
  const data = info.view(new ArrayBuffer(count * info.bytes), 0, count);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(BigInt(Math.trunc(fill)));
  else data.fill(fill);
  return { datatype, shape, data };
}

/** Tells whether what a handler calls a tensor is one: known datatype, data of its form, as many elements as the shape. */
export function isConsistent(tensor: Tensor): boolean {
  if (!isDatatype(tensor?.datatype)) return false;
  if (!Array.isArray(tensor.shape) || !tensor.shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    return false;
  if (tensor.data?.length !== elementCount(tensor.shape)) return false;
  if (tensor.datatype === "BYTES") return Array.isArray(tensor.data) && tensor.data.every((e) => typeof e === "string");
  const empty = datatypeInfo(tensor.datatype).view(new ArrayBuffer(0), 0, 0);
  return Object.getPrototypeOf(tensor.data) === Object.getPrototypeOf(empty);
}
