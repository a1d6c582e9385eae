import { KedgeError } from "@kedge/domain";

const VERSION = 1;
const HEADER_BYTES = 2;

/**
 * All the memory of one detector: parts of it are handed out once, at construction, always in the same order. That the
 * memory is nothing but numbers of a fixed count is what makes a detector constant in size and exactly resumable.
 */
export class Arena {
  readonly #parts: Float64Array[] = [];

  /** A part of `length` numbers, all zero. */
  take(length: number): Float64Array {
    const part = new Float64Array(length);
    this.#parts.push(part);
    return part;
  }

  /** Everything as bytes: version, a mark of the layout, then 64-bit floats, big-endian. */
  encode(layout: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.#byteLength));
    view.setUint8(0, VERSION);
    view.setUint8(1, layout);
    this.#visit((part, index, offset) => view.setFloat64(offset, part[index] ?? 0));
    return new Uint8Array(view.buffer);
  }

  /**
   * Fills the parts from `encode`'s bytes.
   *
   * @throws KedgeError INVALID_FIELD when the bytes are of another version, layout or length.
   */
  decode(bytes: Uint8Array, layout: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const known = bytes.length === this.#byteLength && view.getUint8(0) === VERSION && view.getUint8(1) === layout;
    if (!known) {
      throw new KedgeError("INVALID_FIELD", `detector state of ${bytes.length} bytes is not one this detector wrote`, {
        field: "state",
      });
    }
    this.#visit((part, index, offset) => {
      part[index] = view.getFloat64(offset);
    });
  }

  get #byteLength(): number {
    return HEADER_BYTES + 8 * this.#parts.reduce((sum, part) => sum + part.length, 0);
  }

  #visit(each: (part: Float64Array, index: number, byteOffset: number) => void): void {
    let offset = HEADER_BYTES;
    for (const part of this.#parts) {
      for (let index = 0; index < part.length; index++, offset += 8) each(part, index, offset);
    }
  }
}
