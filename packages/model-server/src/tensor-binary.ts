import { datatypeInfo } from "./datatype.ts";
import { elementCount, type Tensor, tensorError } from "./tensor.ts";

type Declared = Pick<Tensor, "datatype" | "shape">;

const LENGTH_BYTES = 4;

/**
 * Reads the little-endian, row-major bytes of a tensor (binary tensor data extension). The bytes are copied.
 *
 * @throws KedgeError INVALID_FIELD when they are not exactly what datatype and shape ask for.
 */
export function decodeBinaryData(name: string, declared: Declared, bytes: Uint8Array): Tensor {
  const { datatype, shape } = declared;
  const count = elementCount(shape);
  if (datatype === "BYTES") return { ...declared, data: decodeStrings(name, bytes, count) };
  const info = datatypeInfo(datatype);
  if (bytes.length !== count * info.bytes) {
    const wanted = `${count * info.bytes} bytes for datatype ${datatype} and shape [${shape.join(",")}]`;
    throw tensorError(name, `expected ${wanted}, got ${bytes.length}`);
  }
  const illegal = datatype === "BOOL" ? bytes.findIndex((value) => value > 1) : -1;
  if (illegal >= 0) throw tensorError(name, `element ${illegal} is not a BOOL value (0 or 1)`);
  // A copy: typed arrays need aligned offsets, and a handler may keep the tensor longer than the request's body.
  return { ...declared, data: info.view(Uint8Array.from(bytes).buffer, 0, count) };
}

function decodeStrings(name: string, bytes: Uint8Array, count: number): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const strings: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at + LENGTH_BYTES;
    const end = start <= bytes.length ? start + view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (end > bytes.length || strings.length === count) break;
    try {
      strings.push(utf8.decode(bytes.subarray(start, end)));
    } catch (error) {
      const problem = tensorError(name, `element ${strings.length} is not UTF-8, which the runtime needs of BYTES`);
      problem.cause = error;
      throw problem;
    }
    at = end;
  }
  if (at === bytes.length && strings.length === count) return strings;
  throw tensorError(name, `expected ${count} BYTES elements, each with a 4-byte length, in ${bytes.length} bytes`);
}

/** The little-endian, row-major bytes of a tensor. A view on its data where there is one. */
export function encodeBinaryData(tensor: Tensor): Uint8Array {
  const { data } = tensor;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat(
    data.flatMap((text) => {
      const bytes = Buffer.from(text, "utf8");
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}
