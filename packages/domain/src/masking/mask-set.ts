import { Automaton } from "./automaton.ts";
import { MaskStream } from "./mask-stream.ts";
import { byteKey, isMaskable, secretForms, trimSecret } from "./secret-forms.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The secrets of a job, and the streams that they are masked in. */
export class MaskSet {
  readonly #forms = new Map<string, readonly Uint8Array[]>();
  #automaton: Automaton | undefined;

  constructor(secrets: Iterable<Uint8Array | string> = []) {
    for (const secret of secrets) this.add(secret);
  }

  /**
   * Masks one more value from now on, in all streams, also in what they hold.
   *
   * @returns false when it is too short to be masked; tell people.
   */
  add(secret: Uint8Array | string): boolean {
    if (!isMaskable(secret)) return false;
    const key = byteKey(trimSecret(secret));
    if (this.#forms.has(key)) return true;
    this.#forms.set(key, secretForms(secret));
    this.#automaton = undefined;
    return true;
  }

  /** A stream of its own. */
  stream(): MaskStream {
    return new MaskStream(() => this.#needles());
  }

  /** A whole text, masked. */
  text(text: string): string {
    const stream = this.stream();
    const begin = stream.push(encoder.encode(text));
    return decoder.decode(begin) + decoder.decode(stream.flush());
  }

  #needles(): Automaton {
    this.#automaton ??= new Automaton([...this.#forms.values()].flat());
    return this.#automaton;
  }
}

/** One stream with secrets of its own. */
export interface Masker {
  /** @see MaskStream.push */
  push(data: Uint8Array): Uint8Array;
  /** @see MaskStream.flush */
  flush(): Uint8Array;
  /** @see MaskSet.add */
  add(secret: Uint8Array | string): boolean;
}

/** Masks one stream; use a MaskSet for several that share their secrets. */
export function createMasker(secrets: Iterable<Uint8Array | string>): Masker {
  const set = new MaskSet(secrets);
  const stream = set.stream();
  return {
    push: (data) => stream.push(data),
    flush: () => stream.flush(),
    add: (secret) => set.add(secret),
  };
}
