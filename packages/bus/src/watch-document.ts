import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Msg } from "@nats-io/nats-core";
import type { Bus } from "./bus.ts";
import { directGet, isDeleteMarker } from "./direct-get.ts";
import { type VerifyOptions, verifySignedBytes } from "./signing.ts";
import { bucketStream, type DocumentBucket, subjects } from "./subjects.ts";

/** Which document an agent follows. */
export interface WatchDocumentOptions<D extends DescMessage> {
  readonly bucket: DocumentBucket;
  readonly key: string;
  readonly schema: D;
  readonly verify: VerifyOptions;
}

/** A document, or the word that there is none (any more). */
export interface DocumentChange<D extends DescMessage> {
  readonly value: MessageShape<D> | undefined;
  /** 0 when the key never had a document. */
  readonly revision: number;
}

/** Ends a watch. */
export interface DocumentWatch {
  close(): void;
  /** Reads the stored document now instead of within 30 s. */
  resync(): Promise<void>;
}

const RESYNC_MS = 30_000;
const RETRY_MS = 1_000;

/**
 * Follows one signed document without a consumer: the server republishes each stored version, and the stored one is
 * read at the start, after every reconnect and every 30 s. The callback gets the newest revision known, never an older
 * one than before, and never one that is not signed by the controller for this audience. It is called at least once,
 * as soon as the store was reached.
 */
export function watchDocument<D extends DescMessage>(
  bus: Bus,
  options: WatchDocumentOptions<D>,
  callback: (change: DocumentChange<D>) => void,
): DocumentWatch {
  return new Watch(bus, options, callback);
}

class Watch<D extends DescMessage> implements DocumentWatch {
  readonly #bus: Bus;
  readonly #options: WatchDocumentOptions<D>;
  readonly #callback: (change: DocumentChange<D>) => void;
  readonly #stop: (() => void)[];
  #cancelTimer = (): void => {};
  #closed = false;
  #revision = -1;

  constructor(bus: Bus, options: WatchDocumentOptions<D>, callback: (change: DocumentChange<D>) => void) {
    this.#bus = bus;
    this.#options = options;
    this.#callback = callback;
    const subject = subjects.document(options.bucket, options.key);
    const subscription = bus.connection.subscribe(subject, {
      callback: (error, message) => this.#live(error, message),
    });
    const unsubscribe = bus.onStatus((status) => {
      if (status === "connected") void this.resync();
    });
    this.#stop = [() => subscription.unsubscribe(), unsubscribe];
    void this.resync();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    for (const stop of this.#stop.splice(0)) stop();
  }

  async resync(): Promise<void> {
    if (this.#closed) return;
    const { bucket, key } = this.#options;
    let nextMs = RESYNC_MS;
    try {
      const stored = await directGet(this.#bus, bucketStream(bucket), subjects.kv(bucket, key));
      if (stored === undefined) this.#deliver(0, undefined);
      else this.#deliver(stored.revision, stored.deleted ? undefined : stored.data);
    } catch (err) {
      nextMs = RETRY_MS;
      this.#bus.logger.debug({ err, bucket, key }, "a document could not be read, trying again");
    }
    this.#cancelTimer();
    if (!this.#closed) this.#cancelTimer = this.#bus.clock.after(nextMs, () => void this.resync());
  }

  #live(error: Error | null, message: Msg): void {
    if (error !== null) {
      this.#bus.logger.error({ err: error, bucket: this.#options.bucket }, "a document subscription failed");
      return;
    }
    const revision = Number(message.headers?.get("Nats-Sequence"));
    if (Number.isInteger(revision)) this.#deliver(revision, isDeleteMarker(message) ? undefined : message.data);
  }

  #deliver(revision: number, bytes: Uint8Array | undefined): void {
    if (this.#closed || revision <= this.#revision) return;
    const { bucket, key, schema, verify } = this.#options;
    try {
      const value = bytes === undefined ? undefined : verifySignedBytes(schema, bytes, verify);
      this.#revision = revision;
      this.#callback({ value, revision });
    } catch (err) {
      this.#bus.logger.warn({ err, bucket, key, revision }, "ignored a document");
    }
  }
}
