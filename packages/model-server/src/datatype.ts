/** A datatype of the Open Inference Protocol v2. BF16 is missing: the runtime has no JavaScript form of it. */
export type Datatype = keyof typeof DATATYPES;

/** A typed array that can hold the elements of a tensor. */
export type NumericData =
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;

/** What the codecs must know of a datatype. */
export interface DatatypeInfo {
  /** The name onnxruntime uses. */
  readonly onnx: string;
  /** Bytes of one element in binary form; 0 for BYTES, whose elements carry their own length. */
  readonly bytes: number;
  /** How elements appear in JSON; "none" = in binary form only. */
  readonly json: "boolean" | "float" | "integer" | "bigint" | "string" | "none";
  /** Smallest and largest legal element of an integer type. */
  readonly range?: readonly [bigint, bigint];
  /** A view on `length` elements of a buffer; the offset must be a multiple of `bytes`. */
  view(buffer: ArrayBufferLike, offset: number, length: number): NumericData;
}

interface ViewConstructor {
  new (buffer: ArrayBufferLike, offset: number, length: number): NumericData;
  readonly BYTES_PER_ELEMENT: number;
}

function numeric(onnx: string, View: ViewConstructor, json: DatatypeInfo["json"]): DatatypeInfo {
  return {
    onnx,
    bytes: View.BYTES_PER_ELEMENT,
    json,
    view: (buffer, offset, length) => new View(buffer, offset, length),
  };
}

function integer(onnx: string, View: ViewConstructor, range: readonly [bigint, bigint]): DatatypeInfo {
  return { ...numeric(onnx, View, View.BYTES_PER_ELEMENT === 8 ? "bigint" : "integer"), range };
}

function signed(bits: number): readonly [bigint, bigint] {
  const half = 2n ** BigInt(bits - 1);
  return [-half, half - 1n];
}

function unsigned(bits: number): readonly [bigint, bigint] {
  return [0n, 2n ** BigInt(bits) - 1n];
}

/** Every datatype the server speaks, by protocol name. FP16 travels as the 16 bits of each element. */
export const DATATYPES = {
  BOOL: numeric("bool", Uint8Array, "boolean"),
  UINT8: integer("uint8", Uint8Array, unsigned(8)),
  UINT16: integer("uint16", Uint16Array, unsigned(16)),
  UINT32: integer("uint32", Uint32Array, unsigned(32)),
  UINT64: integer("uint64", BigUint64Array, unsigned(64)),
  INT8: integer("int8", Int8Array, signed(8)),
  INT16: integer("int16", Int16Array, signed(16)),
  INT32: integer("int32", Int32Array, signed(32)),
  INT64: integer("int64", BigInt64Array, signed(64)),
  FP16: numeric("float16", Uint16Array, "none"),
  FP32: numeric("float32", Float32Array, "float"),
  FP64: numeric("float64", Float64Array, "float"),
  BYTES: { ...numeric("string", Uint8Array, "string"), bytes: 0 },
} as const satisfies Record<string, DatatypeInfo>;

/** Tells whether a string names a datatype the server speaks. */
export function isDatatype(value: string): value is Datatype {
  return Object.hasOwn(DATATYPES, value);
}

/** What is known of a datatype. */
export function datatypeInfo(datatype: Datatype): DatatypeInfo {
  return DATATYPES[datatype];
}

/** The datatype for an onnxruntime type name, or undefined when the protocol has none. */
export function fromOnnxType(type: string): Datatype | undefined {
  return (Object.keys(DATATYPES) as Datatype[]).find((datatype) => DATATYPES[datatype].onnx === type);
}
