import { Automaton } from "./automaton.ts";
import { HeldBytes } from "./held-bytes.ts";
import { mergeSpans, type Span, Spans } from "./spans.ts";
import { UrlUserinfo } from "./url-userinfo.ts";

/** What stands where a secret was. */
export const MASK = "***";

const MASK_BYTES = new TextEncoder().encode(MASK);
const NOTHING = new Uint8Array(0);

/**
 * One stream of bytes, masked. However it is cut into pieces, what comes out is the same. Bytes that a secret may have
 * begun in are held until that is decided: as many as the longest form of a secret has, or 1 KiB of a URL. A stream that
 * is read again from the first byte that was held goes on as if it had not been interrupted.
 */
export class MaskStream {
  readonly #needles: () => Automaton;
  #automaton: Automaton = new Automaton([]);
  #state = 0;
  readonly #urls = new UrlUserinfo();
  readonly #secrets = new Spans();
  readonly #userinfo = new Spans();
  readonly #held = new HeldBytes();
  /** Place in the stream of the first byte that is held. */
  #base = 0;

  /** @param needles what is masked; asked for at each push, so that a secret that was added counts at once */
  constructor(needles: () => Automaton) {
    this.#needles = needles;
  }

  /** How many bytes, before masking, are held. */
  get held(): number {
    return this.#held.length;
  }

  /** Takes the next bytes; answers what can be told by now. The answer may share memory with `data`. */
  push(data: Uint8Array): Uint8Array {
    if (data.length === 0) return NOTHING;
    const bytes = this.#scan(data);
    const begun = this.#base + bytes.length - this.#automaton.depth(this.#state);
    return this.#emit(bytes, Math.min(begun, this.#urls.begun));
  }

  /** Says that the stream has ended; answers the rest. It may go on as another one. */
  flush(): Uint8Array {
    const bytes = this.#scan(NOTHING);
    this.#urls.finish((start, end) => this.#userinfo.add(start, end));
    this.#state = 0;
    return this.#emit(bytes, this.#base + bytes.length);
  }

  #scan(data: Uint8Array): Uint8Array {
    const seen = this.#held.length;
    const bytes = this.#held.with(data);
    const to = bytes.length;
    const automaton = this.#needles();
    const isKnown = automaton === this.#automaton;
    if (!isKnown) {
      // What is held may be, or begin, a secret that was added.
      this.#automaton = automaton;
      this.#state = 0;
      this.#secrets.clear();
    }
    const range = { from: isKnown ? seen : 0, to, state: this.#state };
    const base = this.#base;
    this.#state = automaton.scan(bytes, range, (start, end) => this.#secrets.add(base + start, base + end));
    this.#urls.scan(bytes, { from: seen, to, base }, (start, end) => this.#userinfo.add(start, end));
    return bytes;
  }

  /** Hands on what nothing can change any more: all before `decided`, but no part of a mask that reaches beyond it. */
  #emit(bytes: Uint8Array, decided: number): Uint8Array {
    const spans = mergeSpans(this.#secrets, this.#userinfo);
    let until = decided;
    let count = spans.length;
    for (; count > 0 && (spans[count - 1]?.end ?? 0) > until; count -= 1) {
      until = Math.min(until, spans[count - 1]?.start ?? until);
    }
    const length = until - this.#base;
    const masked = render(bytes.subarray(0, length), { base: this.#base, spans: spans.slice(0, count) });
    const isCopy = count > 0 || this.#held.length === 0;
    const answer = isCopy ? masked : masked.slice();
    this.#held.keep(bytes, bytes.length - length);
    this.#base = until;
    this.#secrets.dropUntil(until);
    this.#userinfo.dropUntil(until);
    return answer;
  }
}

/** The bytes with a mask for each span; themselves when there is none. */
function render(bytes: Uint8Array, { base, spans }: { readonly base: number; readonly spans: readonly Span[] }) {
  if (spans.length === 0) return bytes;
  const hidden = spans.reduce((sum, { start, end }) => sum + end - start, 0);
  const masked = new Uint8Array(bytes.length - hidden + spans.length * MASK_BYTES.length);
  let from = 0;
  let at = 0;
  for (const { start, end } of spans) {
    masked.set(bytes.subarray(from, start - base), at);
    at += start - base - from;
    masked.set(MASK_BYTES, at);
    at += MASK_BYTES.length;
    from = end - base;
  }
  masked.set(bytes.subarray(from), at);
  return masked;
}
