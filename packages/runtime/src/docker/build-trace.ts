import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { ProgressEvent } from "./progress.ts";

const TRACE_ID = "moby.buildkit.trace";

/** A step of a build ("vertex" in BuildKit) as one trace shows it. */
export interface BuildStep {
  readonly name: string;
  readonly started: boolean;
  readonly cached: boolean;
  readonly failed: boolean;
}

/** What a BuildKit trace tells, as far as it is used. */
export interface BuildTrace {
  readonly steps: readonly BuildStep[];
  /** Output of commands; a piece may end within a line or a character. */
  readonly logs: readonly Uint8Array[];
}

/**
 * The trace in an event of a BuildKit build; undefined for any other event. It is a StatusResponse of BuildKit's
 * api/services/control/control.proto, read field by field: the client's own decoder garbles the logs and keeps them all.
 */
export function traceOf(event: ProgressEvent): BuildTrace | undefined {
  if (event.id !== TRACE_ID || typeof event.aux !== "string") return undefined;
  const fields = readFields(Buffer.from(event.aux, "base64"));
  return {
    steps: fields.filter(({ number }) => number === 1).map(({ value }) => readStep(asBytes(value))),
    logs: fields.filter(({ number }) => number === 3).map(({ value }) => readLog(asBytes(value))),
  };
}

interface Field {
  readonly number: number;
  readonly value: Uint8Array | number | undefined;
}

function readStep(message: Uint8Array): BuildStep {
  const fields = new Map(readFields(message).map(({ number, value }) => [number, value]));
  return {
    name: Buffer.from(asBytes(fields.get(3))).toString("utf8"),
    cached: fields.get(4) === 1,
    started: fields.has(5),
    failed: asBytes(fields.get(7)).length > 0,
  };
}

function readLog(message: Uint8Array): Uint8Array {
  return asBytes(readFields(message).find(({ number }) => number === 4)?.value);
}

function asBytes(value: Field["value"]): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array();
}

/** The fields of a message; of those neither bytes nor numbers, only that they are there. */
function readFields(message: Uint8Array): Field[] {
  const reader = new BinaryReader(message);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType === 2) fields.push({ number, value: reader.bytes() });
    else if (wireType === 0) fields.push({ number, value: Number(reader.uint64()) });
    else {
      reader.skip(wireType, number);
      fields.push({ number, value: undefined });
    }
  }
  return fields;
}
