import { createHash, type Hash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Bus, CHUNK_BYTES, hexOf, type PutChunkResult, putChunk, type Signer, sha256Of } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import {
  type FileData,
  type FileEntry,
  FileEntrySchema,
  type ModelManifest,
  ModelManifestSchema,
  type ModelSignature,
  ModelSignatureSchema,
  SignedSchema,
} from "@kedge/proto";
import type { ChunkHold } from "../files/chunk-holds.ts";
import { readOnnxSignature } from "./onnx-signature.ts";

/** Most files of a version, and the largest ONNX file whose signature is read. */
export const MODEL_LIMITS = { files: 10_000, pathLength: 512, onnxBytes: 512 * 1024 * 1024 } as const;

const MAX_CHUNKS_IN_FLIGHT = 8;

/** A version's content once it is in the chunk store. */
export interface StoredContent {
  readonly manifest: ModelManifest;
  /** SHA-256 of the signed manifest: the same content has the same digest. */
  readonly digest: string;
  readonly sizeBytes: bigint;
  readonly newBytes: bigint;
}

interface OpenFile {
  readonly path: string;
  readonly hash: Hash;
  readonly chunks: string[];
  /** Bytes of the chunk being filled. */
  pending: Buffer[];
  pendingBytes: number;
  size: number;
  /** Whole content, kept of the model's ONNX file only. */
  readonly content: Buffer[] | undefined;
}

/**
 * Takes a version's files as a stream, in order, and stores them as chunks. One upload; not reusable.
 * Chunks of an upload that fails stay behind unreferenced until they are collected.
 */
export class ContentUpload {
  readonly #bus: Bus;
  readonly #hold: ChunkHold;
  readonly #model: string;
  readonly #entries: FileEntry[] = [];
  readonly #paths = new Set<string>();
  readonly #inFlight = new Set<Promise<void>>();
  #open: OpenFile | undefined;
  #signature: ModelSignature | undefined;
  #newBytes = 0n;

  /** @param hold keeps what it stores until the version is a document. */
  constructor(bus: Bus, hold: ChunkHold, model: string) {
    this.#bus = bus;
    this.#hold = hold;
    this.#model = model;
  }

  /** Adds data to the current file, or begins a new one when the path differs. */
  async add(part: FileData): Promise<void> {
    if (this.#open?.path !== part.path) {
      await this.#close();
      this.#begin(part.path);
    }
    const file = this.#open;
    if (file === undefined) return;
    file.hash.update(part.data);
    file.size += part.data.length;
    file.content?.push(Buffer.from(part.data));
    if (file.content !== undefined && file.size > MODEL_LIMITS.onnxBytes) {
      throw new KedgeError("TOO_LARGE", `${file.path} is larger than ${MODEL_LIMITS.onnxBytes} bytes`, {
        field: file.path,
      });
    }
    for (let at = 0; at < part.data.length; ) {
      const take = Math.min(CHUNK_BYTES - file.pendingBytes, part.data.length - at);
      file.pending.push(Buffer.from(part.data.subarray(at, at + take)));
      file.pendingBytes += take;
      at += take;
      if (file.pendingBytes === CHUNK_BYTES) await this.#flush(file);
    }
  }

  /** Stores what is left and the signed manifest. */
  async finish(signer: Signer): Promise<StoredContent> {
    await this.#close();
    await Promise.all(this.#inFlight);
    if (this.#entries.length === 0) throw new KedgeError("INVALID_MODEL", "no file was sent", { field: "file" });
    const manifest = create(ModelManifestSchema, {
      model: this.#model,
      files: this.#entries.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
      signature: this.#signature ?? create(ModelSignatureSchema),
    });
    const document = toBinary(SignedSchema, signer.sign(ModelManifestSchema, manifest, "*"));
    const { sha256 } = await this.#put(document);
    const sizeBytes = this.#entries.reduce((sum, entry) => sum + entry.size, 0n);
    return { manifest, digest: sha256, sizeBytes, newBytes: this.#newBytes };
  }

  #begin(path: string): void {
    assertRelativePath(path);
    if (this.#paths.has(path)) {
      throw new KedgeError("INVALID_FIELD", `${path} was sent twice`, { field: "file.path" });
    }
    if (this.#paths.size >= MODEL_LIMITS.files) {
      throw new KedgeError("TOO_LARGE", `a version has at most ${MODEL_LIMITS.files} files`, { field: "file" });
    }
    this.#paths.add(path);
    const isModel = path.endsWith(".onnx") && !path.includes("/");
    this.#open = {
      path,
      hash: createHash("sha256"),
      chunks: [],
      pending: [],
      pendingBytes: 0,
      size: 0,
      content: isModel ? [] : undefined,
    };
  }

  async #close(): Promise<void> {
    const file = this.#open;
    if (file === undefined) return;
    this.#open = undefined;
    if (file.pendingBytes > 0) await this.#flush(file);
    if (file.content !== undefined) this.#signature ??= readOnnxSignature(file.path, Buffer.concat(file.content));
    this.#entries.push(
      create(FileEntrySchema, {
        path: file.path,
        size: BigInt(file.size),
        sha256: file.hash.digest("hex"),
        chunks: file.chunks,
      }),
    );
  }

  async #put(bytes: Uint8Array): Promise<PutChunkResult> {
    await this.#hold.protect(hexOf(sha256Of(bytes)));
    return putChunk(this.#bus, bytes);
  }

  async #flush(file: OpenFile): Promise<void> {
    const bytes = Buffer.concat(file.pending);
    file.pending = [];
    file.pendingBytes = 0;
    file.chunks.push(createHash("sha256").update(bytes).digest("hex"));
    const upload = this.#put(bytes).then((result) => {
      if (result.stored) this.#newBytes += BigInt(bytes.length);
    });
    this.#inFlight.add(upload);
    // The set holds the promise itself, so a failure is seen by whoever waits next.
    const forget = () => this.#inFlight.delete(upload);
    upload.then(forget, () => {});
    if (this.#inFlight.size >= MAX_CHUNKS_IN_FLIGHT) await Promise.race(this.#inFlight);
  }
}

/** @throws KedgeError INVALID_FIELD unless the path is relative, normal and harmless on every platform. */
export function assertRelativePath(path: string): void {
  const parts = path.split("/");
  const bad = parts.some((part) => part === "" || part === "." || part === "..");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here.
  if (!bad && path.length <= MODEL_LIMITS.pathLength && !/[\\\u0000-\u001f\u007f:]/.test(path)) return;
  throw new KedgeError(
    "INVALID_FIELD",
    `${JSON.stringify(path.slice(0, 80))} is not a relative path inside the model`,
    {
      field: "file.path",
    },
  );
}
