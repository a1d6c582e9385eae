/** What HAProxy logged of one request. */
export interface LogRecord {
  /** Epoch of the split it was routed by. */
  readonly epoch: number;
  /** Index of the server slot; undefined when none was ready. */
  readonly slot: number | undefined;
  /** HTTP status; 0 when the client got none. */
  readonly status: number;
  /** Who ended it: the client gave up, the replica or gateway cut it short, or it ran its course. */
  readonly end: "complete" | "client" | "cut";
  readonly latencyMs: number;
  readonly redispatched: boolean;
  readonly label: string | undefined;
}

const LINE =
  /^s\d{1,4}:(\d{1,15}) (?:e(\d{1,4})|<NOSRV>) (-1|\d{1,3}) ([\w-]{2}) (-?\d{1,15}) (\+?)\d{1,3} (-|(?:[0-9A-F]{2}){0,64})$/;
const CONTROL = /\p{C}/gu;

/** Reads one log line; undefined for anything else. Never throws. */
export function parseLogLine(line: string): LogRecord | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, epoch, slot, status, termination, micros, redispatched, label] = match;
  return {
    epoch: Number(epoch),
    slot: slot === undefined ? undefined : Number(slot),
    status: Math.max(0, Number(status)),
    end: endOf(termination ?? ""),
    latencyMs: Math.max(0, Number(micros)) / 1000,
    redispatched: redispatched === "+",
    label: labelOf(label ?? ""),
  };
}

/** First letter of HAProxy's termination state; L is an answer by HAProxy itself. */
function endOf(termination: string): LogRecord["end"] {
  const by = termination[0];
  if (by === "-" || by === "L") return "complete";
  return by === "C" || by === "c" ? "client" : "cut";
}

/** The label as text; bytes that are no text, or cannot be seen, become a replacement character. */
function labelOf(hex: string): string | undefined {
  if (hex === "-" || hex === "") return undefined;
  return Buffer.from(hex, "hex").toString("utf8").replace(CONTROL, "\uFFFD");
}
