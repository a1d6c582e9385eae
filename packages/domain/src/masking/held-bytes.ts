const FIRST_CAPACITY = 256;

/** The end of a stream that is not handed on yet; grows at its end and shrinks at its beginning without moving all. */
export class HeldBytes {
  #buffer = new Uint8Array(0);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** What is held, and `data` behind it. Valid until the next call. */
  with(data: Uint8Array): Uint8Array {
    // Most of the time nothing is held, and nothing needs to be copied.
    if (this.length === 0) return data;
    this.#append(data);
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Holds the last `length` of the bytes that `with` answered for `data`. */
  keep(bytes: Uint8Array, length: number): void {
    if (bytes.buffer === this.#buffer.buffer && this.length > 0) {
      this.#start = this.#end - length;
      return;
    }
    this.#start = 0;
    this.#end = 0;
    this.#append(bytes.subarray(bytes.length - length));
  }

  #append(data: Uint8Array): void {
    if (this.#end + data.length > this.#buffer.length) this.#makeRoom(data.length);
    this.#buffer.set(data, this.#end);
    this.#end += data.length;
  }

  #makeRoom(more: number): void {
    const needed = this.length + more;
    const held = this.#buffer.subarray(this.#start, this.#end);
    // What was half empty is moved to the front; else it doubles. Either way each byte moves a constant number of times.
    if (needed * 2 > this.#buffer.length) this.#buffer = new Uint8Array(Math.max(FIRST_CAPACITY, needed * 2));
    this.#buffer.set(held, 0);
    this.#end = held.length;
    this.#start = 0;
  }
}
