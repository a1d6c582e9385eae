import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { ProgressEvent } from "./progress.ts";

const TRACE_ID = "moby.buildkit.trace";

/** What a BuildKit trace tells, as far as it is shown. Source: buildkit api/services/control/control.proto. */
export interface BuildTrace {
  readonly vertexes: readonly { readonly name: string; readonly started: boolean; readonly cached: boolean }[];
  readonly logs: readonly Uint8Array[];
}

/** The trace in an event of a BuildKit build; undefined for any other event. */
export function traceOf(event: ProgressEvent): BuildTrace | undefined {
  if (event.id !== TRACE_ID || typeof event.aux !== "string") return undefined;
  const vertexes: BuildTrace["vertexes"][number][] = [];
  const logs: Uint8Array[] = [];
  readFields(Buffer.from(event.aux, "base64"), (field, bytes) => {
    if (field === 1) vertexes.push(readVertex(bytes()));
    else if (field === 3) logs.push(readLog(bytes()));
    else return false;
    return true;
  });
  return { vertexes, logs };
}

function readVertex(message: Uint8Array): BuildTrace["vertexes"][number] {
  const vertex = { name: "", started: false, cached: false };
  readFields(message, (field, bytes, varint) => {
    if (field === 3) vertex.name = Buffer.from(bytes()).toString("utf8");
    else if (field === 4) vertex.cached = varint() !== 0;
    else if (field === 5) vertex.started = bytes().length > 0;
    else return false;
    return true;
  });
  return vertex;
}

function readLog(message: Uint8Array): Uint8Array {
  let text: Uint8Array = new Uint8Array();
  readFields(message, (field, bytes) => {
    if (field !== 4) return false;
    text = bytes();
    return true;
  });
  return text;
}

/** Goes over a message's fields; what `read` does not take is skipped. */
function readFields(
  message: Uint8Array,
  read: (field: number, bytes: () => Uint8Array, varint: () => number) => boolean,
): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const taken = read(
      field,
      () => reader.bytes(),
      () => reader.uint32(),
    );
    if (!taken) reader.skip(wireType, field);
  }
}
