import { KedgeError } from "@kedge/domain";

/** Writes numbers and texts, to be read in the same order by `StateReader`. */
export class StateWriter {
  readonly #numbers: number[] = [];

  number(value: number): void {
    this.#numbers.push(value);
  }

  /** A list with its length. */
  numbers(values: ArrayLike<number>): void {
    this.#numbers.push(values.length);
    for (let i = 0; i < values.length; i++) this.#numbers.push(values[i] ?? 0);
  }

  text(value: string): void {
    this.numbers(Array.from({ length: value.length }, (_, i) => value.charCodeAt(i)));
  }

  /**
   * Everything written: a version, then each number, whole ones below 2^14 in two bytes, others in nine (a mark and a
   * 64-bit float), big-endian.
   */
  bytes(version: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(1 + 9 * this.#numbers.length));
    view.setUint8(0, version);
    let at = 1;
    for (const value of this.#numbers) {
      if (Number.isInteger(value) && value >= 0 && value < MARK_BASE && !Object.is(value, -0)) {
        view.setUint16(at, value);
        at += 2;
        continue;
      }
      view.setUint8(at, MARK);
      view.setFloat64(at + 1, value);
      at += 9;
    }
    return new Uint8Array(view.buffer.slice(0, at));
  }
}

const MARK = 0xff;
const MARK_BASE = 1 << 14;
const MAX_LENGTH = 100_000;

/** Reads what a `StateWriter` wrote. Every method throws KedgeError INVALID_FIELD when the bytes end or do not fit. */
export class StateReader {
  readonly #view: DataView;
  #at = 1;

  constructor(bytes: Uint8Array, version: number) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length === 0 || this.#view.getUint8(0) !== version) throw this.#foreign();
  }

  number(): number {
    const left = this.#view.byteLength - this.#at;
    const isFloat = left > 0 && this.#view.getUint8(this.#at) === MARK;
    if (left < (isFloat ? 9 : 2)) throw this.#foreign();
    const value = isFloat ? this.#view.getFloat64(this.#at + 1) : this.#view.getUint16(this.#at);
    this.#at += isFloat ? 9 : 2;
    return value;
  }

  /** A list; of exactly `length` when that is given. */
  numbers(length?: number): Float64Array {
    const count = this.count();
    if (length !== undefined && count !== length) throw this.#foreign();
    return Float64Array.from({ length: count }, () => this.number());
  }

  /** A number of things to follow. */
  count(): number {
    const value = this.number();
    if (!Number.isInteger(value) || value < 0 || value > MAX_LENGTH) throw this.#foreign();
    return value;
  }

  text(): string {
    return Array.from(this.numbers(), (code) => String.fromCharCode(code)).join("");
  }

  /** Throws unless a number written is this one. */
  expect(value: number): void {
    if (this.number() !== value) throw this.#foreign();
  }

  /** Throws unless a text written is this one. */
  expectText(value: string): void {
    if (this.text() !== value) throw this.#foreign();
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.#at !== this.#view.byteLength) throw this.#foreign();
  }

  #foreign(): KedgeError {
    return new KedgeError(
      "INVALID_FIELD",
      `judge state of ${this.#view.byteLength} bytes is not one this judge wrote`,
      {
        field: "judge_state",
      },
    );
  }
}
