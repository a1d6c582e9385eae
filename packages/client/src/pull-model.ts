import { createHash, type Hash } from "node:crypto";
import { type FileHandle, mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { KedgeError } from "@kedge/domain";
import type { FileData, FileEntry, ModelVersion } from "@kedge/proto";
import type { KedgeClient } from "./client.ts";
import { isSafeModelPath } from "./model-files.ts";
import type { TransferOptions } from "./push-model.ts";
import { putInPlace } from "./put-in-place.ts";

/** Which model, and where to. */
export interface PullModelTarget {
  readonly model: string;
  /** Version number or tag; default: the newest. */
  readonly version?: string;
  /** Folder to make; it may exist when it is empty. */
  readonly folder: string;
}

/**
 * Pulls a version into a folder. Every file is checked against the manifest; the folder appears only when all are
 * right, and nothing is left behind otherwise.
 *
 * @throws KedgeError DIGEST_MISMATCH, INVALID_OPTION when the folder is not empty, and whatever the server says.
 */
export async function pullModel(
  client: KedgeClient,
  target: PullModelTarget,
  options: TransferOptions = {},
): Promise<ModelVersion> {
  const folder = resolve(target.folder);
  await mkdir(dirname(folder), { recursive: true });
  const staging = await mkdtemp(`${folder}.pull-`);
  try {
    const version = await receive(client, { ...target, folder: staging }, options);
    await putInPlace(staging, folder);
    return version;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function receive(client: KedgeClient, target: PullModelTarget, options: TransferOptions): Promise<ModelVersion> {
  const request = { model: target.model, version: target.version ?? "" };
  let download: Download | undefined;
  try {
    for await (const { part } of client.models.pullModel(request, options.signal ? { signal: options.signal } : {})) {
      if (part.case === "version") download = new Download(part.value, target.folder, options);
      else if (part.case === "file" && download !== undefined) await download.write(part.value);
    }
    if (download === undefined) throw new KedgeError("INTERNAL", "the controller sent no version");
    await download.finish();
    return download.version;
  } finally {
    await download?.close();
  }
}

/** Files being written, one at a time, in the order they come. */
class Download {
  readonly version: ModelVersion;
  readonly #folder: string;
  readonly #options: TransferOptions;
  readonly #missing: Map<string, FileEntry>;
  readonly #totalBytes: number;
  #doneBytes = 0;
  #file: { readonly path: string; readonly handle: FileHandle; readonly hash: Hash } | undefined;

  constructor(version: ModelVersion, folder: string, options: TransferOptions) {
    this.version = version;
    this.#folder = folder;
    this.#options = options;
    const files = version.manifest?.files ?? [];
    this.#missing = new Map(files.map((file) => [file.path, file]));
    this.#totalBytes = files.reduce((sum, file) => sum + Number(file.size), 0);
  }

  async write({ path, data }: FileData): Promise<void> {
    if (this.#file?.path !== path) await this.#next(path);
    this.#file?.hash.update(data);
    await this.#file?.handle.writeFile(data);
    this.#doneBytes += data.length;
    this.#options.onProgress?.({ path, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes });
  }

  async finish(): Promise<void> {
    await this.#verify();
    const [path] = this.#missing.keys();
    if (path !== undefined) throw new KedgeError("DIGEST_MISMATCH", `the controller did not send ${path}`);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }

  async #next(path: string): Promise<void> {
    await this.#verify();
    if (!isSafeModelPath(path) || !this.#missing.has(path)) {
      const shown = JSON.stringify(path.slice(0, 200));
      throw new KedgeError("DIGEST_MISMATCH", `the controller sent ${shown}, which the manifest does not list`);
    }
    const destination = join(this.#folder, path);
    await mkdir(dirname(destination), { recursive: true });
    this.#file = { path, handle: await open(destination, "wx"), hash: createHash("sha256") };
  }

  async #verify(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    await this.close();
    if (file.hash.digest("hex") !== this.#missing.get(file.path)?.sha256) {
      throw new KedgeError("DIGEST_MISMATCH", `${file.path} does not have the digest of its manifest entry`);
    }
    this.#missing.delete(file.path);
  }
}
