import { type FileHandle, open } from "node:fs/promises";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** ModelProto.metadata_props and StringStringEntryProto of onnx.proto. */
const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;
const HEAD_BYTES = 20;
const MAX_ENTRY_BYTES = 64 * 1024;

/**
 * The metadata written into an ONNX file. Reads only the heads of the top-level fields, so a large model costs no
 * memory. What is not an ONNX file has no metadata: refusing it is the runtime's task.
 */
export async function readOnnxMetadata(path: string): Promise<ReadonlyMap<string, string>> {
  const file = await open(path, "r");
  try {
    return await scan(file, (await file.stat()).size);
  } catch {
    // Not the wire format: loading the model reports that better.
    return new Map();
  } finally {
    await file.close();
  }
}

async function scan(file: FileHandle, size: number): Promise<Map<string, string>> {
  const metadata = new Map<string, string>();
  let at = 0;
  while (at < size) {
    const reader = new BinaryReader(await read(file, at, Math.min(HEAD_BYTES, size - at)));
    const [field, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, field);
      at += reader.pos;
      continue;
    }
    const length = reader.uint32();
    at += reader.pos;
    if (field === METADATA_PROPS && length <= MAX_ENTRY_BYTES) addEntry(metadata, await read(file, at, length));
    at += length;
  }
  return metadata;
}

async function read(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

function addEntry(metadata: Map<string, string>, bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  const parts = new Map<number, string>();
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === KEY || field === VALUE) parts.set(field, reader.string());
    else reader.skip(wireType, field);
  }
  metadata.set(parts.get(KEY) ?? "", parts.get(VALUE) ?? "");
}
