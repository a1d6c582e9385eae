import { createReadStream } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PushModelHeaderSchema, PushModelRequestSchema, PushModelResponse } from "@kedge/proto";
import type { KedgeClient } from "./client.ts";
import { listModelFiles, type ModelFile } from "./model-files.ts";

/** Half of what a message may hold: large enough that overhead vanishes, small enough that many uploads fit in memory. */
const PART_BYTES = 512 * 1024;

/** How far a transfer is. */
export interface TransferProgress {
  /** The file at hand. */
  readonly path: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Settings of a push or pull. */
export interface TransferOptions {
  readonly signal?: AbortSignal;
  /** Called after every part. */
  readonly onProgress?: (progress: TransferProgress) => void;
}

/**
 * Pushes a folder, or one file, as a new version of a model. The same content again makes no version (`existed`).
 *
 * @throws KedgeError INVALID_MODEL when the folder is empty or a link leads out of it, and whatever the server says.
 */
export async function pushModelFolder(
  client: KedgeClient,
  path: string,
  header: MessageInitShape<typeof PushModelHeaderSchema>,
  options: TransferOptions = {},
): Promise<PushModelResponse> {
  const files = await listModelFiles(path);
  const callOptions = options.signal === undefined ? {} : { signal: options.signal };
  return client.models.pushModel(parts(files, header, options), callOptions);
}

async function* parts(
  files: readonly ModelFile[],
  header: MessageInitShape<typeof PushModelHeaderSchema>,
  options: TransferOptions,
): AsyncGenerator<MessageInitShape<typeof PushModelRequestSchema>> {
  yield { part: { case: "header", value: header } };
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  let doneBytes = 0;
  for (const { path, source } of files) {
    let empty = true;
    for await (const data of createReadStream(source, { highWaterMark: PART_BYTES })) {
      empty = false;
      yield { part: { case: "file", value: { path, data } } };
      doneBytes += data.length;
      options.onProgress?.({ path, doneBytes, totalBytes });
    }
    if (empty) yield { part: { case: "file", value: { path, data: new Uint8Array() } } };
  }
}
