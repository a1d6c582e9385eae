import type { EventEmitter } from "node:events";

const RESUMING_EVENTS = ["drain", "close", "error", "cancelled"] as const;

/** A stream that takes messages and says when to stop. */
export interface MessageSink extends EventEmitter {
  write(message: unknown): boolean;
}

/** Resolves when a full stream takes more or has ended. Leaves no listener behind. */
function writable(sink: EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const onEvent = (): void => {
      for (const event of RESUMING_EVENTS) sink.off(event, onEvent);
      resolve();
    };
    for (const event of RESUMING_EVENTS) sink.on(event, onEvent);
  });
}

/** Settings of `pump`. */
export interface PumpOptions<T> {
  readonly source: AsyncIterable<T>;
  readonly sink: MessageSink;
  /** What goes into the sink for each item. */
  readonly encode: (item: T) => unknown;
  /** True when nobody reads the sink any more. */
  readonly isOver: () => boolean;
  /** Registers what to do when nobody reads any more while the source is being waited for. */
  readonly onOver: (callback: () => void) => void;
}

/**
 * Copies a source into a stream at the pace of its reader: at most the stream's high-water mark of messages is held.
 * The source is closed when the reader goes away, also while its next item is awaited.
 */
export async function pump<T>(options: PumpOptions<T>): Promise<void> {
  const iterator = options.source[Symbol.asyncIterator]();
  const close = (): void => {
    // The reader is gone; a source that fails to close has nobody left to tell.
    iterator.return?.().then(undefined, () => {});
  };
  options.onOver(close);
  try {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      if (options.isOver()) return close();
      if (!options.sink.write(options.encode(next.value)) && !options.isOver()) await writable(options.sink);
      if (options.isOver()) return close();
    }
  } catch (error) {
    close();
    throw error;
  }
}
