import { type DatatypeInfo, datatypeInfo, type NumericData } from "./datatype.ts";
import { elementCount, type Tensor, tensorError } from "./tensor.ts";

type Declared = Pick<Tensor, "datatype" | "shape">;

/**
 * Reads `data` of a JSON tensor: nested as the shape says, or flat in row-major order.
 *
 * @throws KedgeError INVALID_FIELD naming the tensor and what was expected.
 */
export function decodeJsonData(name: string, declared: Declared, data: unknown): Tensor {
  const info = datatypeInfo(declared.datatype);
  if (info.json === "none") throw tensorError(name, `${declared.datatype} has no JSON form; send it as binary data`);
  const values = flatten(name, declared, data);
  if (info.json === "string") return { ...declared, data: values.map((value, i) => stringElement(name, value, i)) };
  const target = info.view(new ArrayBuffer(values.length * info.bytes), 0, values.length);
  fill(name, declared, target, values);
  return { ...declared, data: target };
}

function flatten(name: string, declared: Declared, data: unknown): readonly unknown[] {
  const { datatype, shape } = declared;
  const expected = `data of datatype ${datatype} and shape [${shape.join(",")}]`;
  if (!Array.isArray(data)) {
    if (shape.length === 0 && data !== undefined) return [data];
    throw tensorError(name, `expected ${expected} as an array`);
  }
  const values: unknown[] = Array.isArray(data[0]) ? [] : data;
  if (values !== data && !flattenNested(data, shape, 0, values))
    throw tensorError(name, `expected ${expected}, nested so`);
  const count = elementCount(shape);
  if (values.length !== count) throw tensorError(name, `expected ${expected}: ${count} elements, got ${values.length}`);
  return values;
}

/** Recursion is bounded by the rank, whatever the nesting of the data. */
function flattenNested(data: unknown, shape: readonly number[], axis: number, into: unknown[]): boolean {
  if (!Array.isArray(data) || data.length !== shape[axis]) return false;
  if (axis < shape.length - 1) return data.every((part) => flattenNested(part, shape, axis + 1, into));
  for (const value of data) into.push(value);
  return true;
}

function fill(name: string, declared: Declared, target: NumericData, values: readonly unknown[]): void {
  const info = datatypeInfo(declared.datatype);
  const wide = target instanceof BigInt64Array || target instanceof BigUint64Array;
  for (let i = 0; i < values.length; i++) {
    const value = element(info, values[i]);
    if (value === undefined) throw tensorError(name, `element ${i} is not a ${declared.datatype} value`);
    if (wide) target[i] = BigInt(value);
    else target[i] = Number(value);
  }
}

function element(info: DatatypeInfo, value: unknown): number | bigint | undefined {
  if (typeof value === "boolean") return info.json === "boolean" ? Number(value) : undefined;
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  switch (info.json) {
    case "boolean":
      return value === 0 || value === 1 ? value : undefined;
    case "float":
      return Number.isFinite(Number(value)) ? Number(value) : undefined;
    case "integer":
    case "bigint":
      return inRange(info, value) ? value : undefined;
    case "string":
    case "none":
      return undefined;
    default:
      return info.json satisfies never;
  }
}

function inRange(info: DatatypeInfo, value: number | bigint): boolean {
  if (typeof value === "number" && !Number.isSafeInteger(value)) return false;
  return info.range !== undefined && value >= info.range[0] && value <= info.range[1];
}

function stringElement(name: string, value: unknown, index: number): string {
  if (typeof value === "string") return value;
  throw tensorError(name, `element ${index} is not a BYTES value (a string)`);
}

/**
 * The `data` of a tensor as JSON text, flat. 64-bit integers are printed exactly; NaN and infinities, which JSON does
 * not have, become null.
 *
 * @throws KedgeError INVALID_FIELD when the datatype has no JSON form.
 */
export function encodeJsonData(name: string, tensor: Tensor): string {
  const { datatype, data } = tensor;
  const form = datatypeInfo(datatype).json;
  if (form === "none") throw tensorError(name, `${datatype} has no JSON form; request it with binary_data: true`);
  if (form === "boolean") return `[${Array.from<unknown, boolean>(data, (value) => value !== 0).join(",")}]`;
  if (form === "float" || form === "string") return JSON.stringify(Array.from<unknown>(data));
  return `[${data.join(",")}]`;
}
