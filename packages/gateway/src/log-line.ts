/**
 * How a request came to its server: by the split, by a match rule, to look at a preview, or as a copy of another one
 * that a user sent.
 */
export type RequestKind = "split" | "matched" | "preview" | "shadow";

/** A copy of a request. */
export interface CopyRecord {
  /** Server slot that it is for. */
  readonly slot: number;
  /** Same for the request and its copy, or why there is none. */
  readonly number: string | "large" | "busy";
}

/** What HAProxy logged of one request. */
export interface LogRecord {
  /** Of the HAProxy that wrote it. */
  readonly pid: number;
  /** Frontend and process; each numbers its lines. */
  readonly stream: string;
  /** How many lines the stream had before it. */
  readonly number: number;
  /** Epoch of the split it was routed by; undefined when it was no HTTP or had no route. */
  readonly epoch: number | undefined;
  readonly kind: RequestKind;
  /** Server slot that was chosen for it; undefined when HAProxy balanced. */
  readonly chosenSlot: number | undefined;
  /** Hash of its user, of 32 bits, when routing is sticky. */
  readonly user: number | undefined;
  /** The copy that was to be made of it, or that it is; undefined when none was wanted. */
  readonly copy: CopyRecord | undefined;
  /** Index of the server slot that it went to in the end; undefined when none was ready. */
  readonly slot: number | undefined;
  /** HTTP status; 0 when the client got none. */
  readonly status: number;
  /** Who ended it: the client gave up, the replica or gateway cut it short, or it ran its course. */
  readonly end: "complete" | "client" | "cut";
  readonly latencyMs: number;
  /** A server gave no answer, and the request was sent again. */
  readonly retried: boolean;
  /** It was sent to another server then. */
  readonly redispatched: boolean;
  readonly label: string | undefined;
}

const CHOICE = /(?:e(\d{1,4}):(\d{1,15})(?::([mps]))?)?/;
const LINE = new RegExp(
  [
    new RegExp(
      `^([gm])(\\d{1,10}) (\\d{1,15})(?: \\{(?:s\\d{1,4}:(\\d{1,15})(?::[a-z]{1,5})?)?\\|${CHOICE.source}\\|(\\d{0,10})\\|(?:(\\d{1,4}):([\\w.]{1,20}))?\\})?`,
    ),
    /(?:e(\d{1,4})|<[A-Z]{1,8}>) (-1|\d{1,3}) ([\w-]{2}) (-?\d{1,18}|-) (\+?)(\d{1,3})/,
    /(?:\{([ -z~]{0,192})\})?$/,
  ]
    .map((part) => part.source)
    .join(" "),
);
const KINDS: Readonly<Record<string, RequestKind>> = { m: "matched", p: "preview", s: "shadow" };
const ESCAPED = /#([0-9A-F]{2})/g;
const CONTROL = /\p{C}/gu;

/** Reads one log line; undefined for anything else. Never throws. */
export function parseLogLine(line: string): LogRecord | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, frontend, pid, number, epoch, chosen, chosenEpoch, kind, user, ...rest] = match;
  const [copySlot, copy, slot, status, termination, micros, redispatched, retries, label] = rest;
  return {
    pid: Number(pid),
    stream: `${frontend}${pid}`,
    number: Number(number),
    epoch: optionalNumber(chosenEpoch ?? epoch),
    kind: KINDS[kind ?? ""] ?? "split",
    chosenSlot: optionalNumber(chosen),
    user: optionalNumber(user),
    copy: copy ? { slot: Number(copySlot), number: copy } : undefined,
    slot: optionalNumber(slot),
    status: Math.max(0, Number(status)),
    end: endOf(termination ?? ""),
    latencyMs: Math.max(0, Number(micros) || 0) / 1000,
    retried: Number(retries) > 0,
    redispatched: redispatched === "+",
    label: labelOf(label ?? ""),
  };
}

/** How HAProxy counts the request that a line is of: by its choice, or by its epoch where nothing was chosen. */
export function trackedKey({ chosenSlot, epoch, kind }: LogRecord): string | undefined {
  if (epoch === undefined) return undefined;
  const letter = Object.keys(KINDS).find((each) => KINDS[each] === kind);
  return chosenSlot === undefined
    ? String(epoch)
    : `e${chosenSlot}:${epoch}${letter === undefined ? "" : `:${letter}`}`;
}

/** What a request was tracked by, from its key; undefined for any other text. */
export function parseTrackedKey(
  key: string,
): (Pick<LogRecord, "chosenSlot" | "kind"> & { readonly epoch: number }) | undefined {
  const match = /^(?:e(\d{1,4}):)?(\d{1,15})(?::([mps]))?$/.exec(key);
  if (match === null) return undefined;
  const [, slot, epoch, letter] = match;
  return { chosenSlot: optionalNumber(slot), epoch: Number(epoch), kind: KINDS[letter ?? ""] ?? "split" };
}

function optionalNumber(text: string | undefined): number | undefined {
  return text ? Number(text) : undefined;
}

/** First letter of HAProxy's termination state; L is an answer by HAProxy itself. */
function endOf(termination: string): LogRecord["end"] {
  const by = termination[0];
  if (by === "-" || by === "L") return "complete";
  return by === "C" || by === "c" ? "client" : "cut";
}

/** The label as text; bytes that are no text, or cannot be seen, become a replacement character. */
function labelOf(logged: string): string | undefined {
  if (!logged.includes("#")) return logged || undefined;
  const bytes = logged.replace(ESCAPED, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8").replace(CONTROL, "\uFFFD");
}
