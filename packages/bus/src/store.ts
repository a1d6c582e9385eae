import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { SignedSchema } from "@kedge/proto";
import type { JetStreamPublishOptions, PubAck } from "@nats-io/jetstream";
import { headers } from "@nats-io/nats-core";
import type { Bus } from "./bus.ts";
import { directGet, isDeleteMarker } from "./direct-get.ts";
import { busError, isLostRace } from "./nats-error.ts";
import { type Signer, verifySignedBytes } from "./signing.ts";
import { readStream } from "./stream-reader.ts";
import { type BucketName, bucketStream, subjects } from "./subjects.ts";
import { whileConnected } from "./while-connected.ts";

/** What a store holds and where. */
export interface StoreOptions<D extends DescMessage> {
  readonly bucket: BucketName;
  readonly schema: D;
  /** Documents for agents: each is signed and addressed to the audience its key stands for. */
  readonly signing?: { readonly signer: Signer; readonly audience: (key: string) => string };
  /** Number of dot-separated tokens of this store's keys; default 1. Two stores may share a bucket by it. */
  readonly keyTokens?: 1 | 2 | 3;
  /** The one key this store holds, where stores of single documents share a bucket. */
  readonly onlyKey?: string;
  /** Gives what `toBinary` gives, or what decodes to the same; for big documents of which most stays as it is. */
  readonly encode?: (value: MessageShape<D>) => Uint8Array;
}

/** A document with the revision it was read at or written as. Never change the value. */
export interface StoredDocument<D extends DescMessage> {
  readonly value: MessageShape<D>;
  readonly revision: number;
}

/** Largest document, encoded. */
export const MAX_DOCUMENT_BYTES = 900 * 1024;

const PUBLISH_TIMEOUT_MS = 10_000;
/** Deletes travel to the informer within moments; older ones need not be remembered. */
const MAX_REMEMBERED_DELETES = 10_000;

/** Opens a store; `start` it before use. */
export function openStore<D extends DescMessage>(bus: Bus, options: StoreOptions<D>): Store<D> {
  return new Store(bus, options);
}

/**
 * The documents of one KV bucket, all of them in memory and kept current (an informer). Reads are synchronous. Writes
 * are compare-and-set on the revision and show in reads at once. A key's revision never goes backwards.
 */
export class Store<D extends DescMessage> {
  readonly #bus: Bus;
  readonly #options: StoreOptions<D>;
  readonly #documents = new Map<string, StoredDocument<D>>();
  /** Revision of the newest delete seen of a key that is gone; guards against older news. */
  readonly #deleted = new Map<string, number>();
  readonly #callbacks = new Set<(key: string) => void>();
  #reading: Promise<void> = Promise.resolve();

  constructor(bus: Bus, options: StoreOptions<D>) {
    this.#bus = bus;
    this.#options = options;
  }

  /**
   * Resolves when everything stored at this moment is in memory; goes on following changes until the signal aborts.
   * Call once.
   *
   * @throws KedgeError CANCELLED when the signal aborts before that.
   */
  start(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#reading = this.#follow(signal, resolve).then(
        () => reject(new KedgeError("CANCELLED", `reading ${this.#options.bucket} was given up`)),
        (error: unknown) => {
          this.#bus.logger.error({ err: error, bucket: this.#options.bucket }, "a store stopped following its bucket");
          reject(busError(error, `reading ${this.#options.bucket}`));
        },
      );
    });
  }

  /** Resolves when the store has stopped following, after its signal aborted. */
  stopped(): Promise<void> {
    return this.#reading;
  }

  get(key: string): StoredDocument<D> | undefined {
    return this.#documents.get(key);
  }

  /** All documents by key, in no particular order; a live view, do not hold it over an await. */
  entries(): IterableIterator<[string, StoredDocument<D>]> {
    return this.#documents.entries();
  }

  get size(): number {
    return this.#documents.size;
  }

  /** Calls back after every change, our own included; the result unsubscribes. */
  onChange(callback: (key: string) => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  /**
   * Stores a document under a key that has none.
   *
   * @throws KedgeError CONFLICT when there is one, TOO_LARGE, BUS_UNAVAILABLE (it may have been stored all the same).
   */
  async create(key: string, value: MessageShape<D>): Promise<StoredDocument<D>> {
    const expected = this.#deleted.get(key) ?? 0;
    try {
      return await this.#put(key, value, expected);
    } catch (error) {
      if (!(error instanceof KedgeError) || error.reason !== "CONFLICT") throw error;
      const stored = await directGet(this.#bus, bucketStream(this.#options.bucket), this.#subject(key));
      const revision = stored?.revision ?? 0;
      if (stored?.deleted === false || revision === expected) throw error;
      return await this.#put(key, value, revision);
    }
  }

  /** Replaces the document read at `revision`. Fails like `create`; CONFLICT when it was changed since. */
  update(key: string, value: MessageShape<D>, revision: number): Promise<StoredDocument<D>> {
    return this.#put(key, value, revision);
  }

  /**
   * Deletes a key, at `revision` if one is given. A key that is not there stays so.
   *
   * @throws KedgeError CONFLICT, BUS_UNAVAILABLE.
   */
  async delete(key: string, revision?: number): Promise<void> {
    if (revision === undefined && !this.#documents.has(key)) return;
    const marker = headers();
    marker.set("KV-Operation", "PURGE");
    marker.set("Nats-Rollup", "sub");
    try {
      const ack = await this.#publish(key, new Uint8Array(), {
        headers: marker,
        ...(revision === undefined ? {} : { expect: { lastSubjectSequence: revision } }),
      });
      this.#forget(key, ack.seq);
    } catch (error) {
      throw this.#failure(error, key);
    }
  }

  async #put(key: string, value: MessageShape<D>, expected: number): Promise<StoredDocument<D>> {
    const bytes = this.#encode(key, value);
    if (bytes.byteLength > MAX_DOCUMENT_BYTES) {
      const message = `${this.#options.bucket}/${key} would have ${bytes.byteLength} bytes, ${MAX_DOCUMENT_BYTES} are allowed`;
      throw new KedgeError("TOO_LARGE", message);
    }
    try {
      const ack = await this.#publish(key, bytes, { expect: { lastSubjectSequence: expected } });
      const document = { value, revision: ack.seq };
      this.#remember(key, document);
      return document;
    } catch (error) {
      throw this.#failure(error, key);
    }
  }

  #publish(key: string, bytes: Uint8Array, options: Partial<JetStreamPublishOptions>): Promise<PubAck> {
    const complete = { ...options, timeout: PUBLISH_TIMEOUT_MS };
    return whileConnected(this.#bus, () => this.#bus.jetstream.publish(this.#subject(key), bytes, complete));
  }

  #failure(error: unknown, key: string): KedgeError {
    const { bucket } = this.#options;
    if (!isLostRace(error)) return busError(error, `writing ${bucket}/${key}`);
    return new KedgeError("CONFLICT", `${bucket}/${key} was changed by somebody else`, { cause: error });
  }

  #subject(key: string): string {
    return subjects.kv(this.#options.bucket, key);
  }

  #encode(key: string, value: MessageShape<D>): Uint8Array {
    const { schema, signing, encode } = this.#options;
    if (signing === undefined) return encode?.(value) ?? toBinary(schema, value);
    return toBinary(SignedSchema, signing.signer.sign(schema, value, signing.audience(key)));
  }

  #decode(key: string, bytes: Uint8Array): MessageShape<D> {
    const { schema, signing } = this.#options;
    if (signing === undefined) return fromBinary(schema, bytes);
    return verifySignedBytes(schema, bytes, { key: signing.signer.publicKey, audience: signing.audience(key) });
  }

  async #follow(signal: AbortSignal, onSynced: () => void): Promise<void> {
    const { bucket, keyTokens = 1, onlyKey } = this.#options;
    const prefix = `$KV.${bucket}.`;
    const filter = prefix + (onlyKey ?? Array.from({ length: keyTokens }, () => "*").join("."));
    const options = { stream: bucketStream(bucket), filter, from: "last-per-subject", follow: true } as const;
    for await (const reading of readStream(this.#bus, options, signal)) {
      if (reading.kind === "caught-up") onSynced();
      else {
        const { message } = reading;
        this.#take(
          message.subject.slice(prefix.length),
          message.seq,
          isDeleteMarker(message) ? undefined : message.data,
        );
      }
    }
  }

  /** Applies what the server stored, unless we know better already. */
  #take(key: string, revision: number, bytes: Uint8Array | undefined): void {
    if (revision <= this.#newest(key)) return;
    if (bytes === undefined) {
      this.#forget(key, revision);
      return;
    }
    try {
      this.#remember(key, { value: this.#decode(key, bytes), revision });
    } catch (error) {
      this.#bus.logger.error({ err: error, bucket: this.#options.bucket, key, revision }, "a document is unreadable");
    }
  }

  #newest(key: string): number {
    return Math.max(this.#documents.get(key)?.revision ?? 0, this.#deleted.get(key) ?? 0);
  }

  #remember(key: string, document: StoredDocument<D>): void {
    if (document.revision <= this.#newest(key)) return;
    this.#documents.set(key, document);
    this.#deleted.delete(key);
    this.#notify(key);
  }

  #forget(key: string, revision: number): void {
    if (revision <= this.#newest(key)) return;
    const known = this.#documents.delete(key);
    this.#deleted.set(key, revision);
    const [oldest] = this.#deleted.keys();
    if (this.#deleted.size > MAX_REMEMBERED_DELETES && oldest !== undefined) this.#deleted.delete(oldest);
    if (known) this.#notify(key);
  }

  #notify(key: string): void {
    for (const callback of this.#callbacks) callback(key);
  }
}
