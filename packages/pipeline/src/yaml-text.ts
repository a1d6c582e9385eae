import { CST, type Document, Lexer, LineCounter, type Node, parseDocument, type YAMLError } from "yaml";
import type { Finding, Path, Positions } from "./finding.ts";
import { LIMITS } from "./limits.ts";
import { YamlPlaces } from "./yaml-places.ts";
import { YamlReader } from "./yaml-reader.ts";

/** A file that was read: its plain value when it is sound YAML, and the way back to lines and columns. */
export interface YamlText {
  /** Objects without prototype, arrays and scalars. Undefined when a finding says why. */
  readonly value: unknown;
  readonly findings: readonly Finding[];
  readonly positions: Positions;
}

/** Tells which scalars are taken as they are written (1.10 stays "1.10"). */
export type AsWritten = (path: Path) => boolean;

/** Reads YAML text within LIMITS. Never throws. */
export function readYaml(source: string, asWritten: AsWritten): YamlText {
  const lines = new LineCounter();
  const places = new YamlPlaces(lines);
  const size = new TextEncoder().encode(source).length;
  if (size > LIMITS.sourceBytes) {
    const message = `the file has ${size} bytes; at most ${LIMITS.sourceBytes} (1 MiB) are read`;
    return { value: undefined, findings: [{ path: [], message, offset: 0 }], positions: places };
  }
  const excess = excessOf(source);
  if (excess !== undefined) {
    lines.addNewLine(0);
    for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) lines.addNewLine(at + 1);
    return { value: undefined, findings: [excess], positions: places };
  }
  const document = parsed(source, lines);
  const problems = [...document.errors, ...document.warnings].map(toFinding);
  if (problems.length > 0) return { value: undefined, findings: problems, positions: places };
  return readDocument(document, places, asWritten);
}

/** Why a text is not parsed: a hostile one is nothing but tokens, and the parser takes a multiple of the lexer's time for them. */
function excessOf(source: string): Finding | undefined {
  let count = 0;
  let depth = 0;
  let offset = 0;
  let isScalar = false;
  for (const token of new Lexer().lex(source)) {
    const isMark = token === CST.DOCUMENT || token === CST.FLOW_END || token === CST.SCALAR;
    if (++count > LIMITS.tokens) {
      const message = `the file has too many parts: more than ${LIMITS.tokens} brackets, dashes, values, blanks and line ends`;
      return { path: [], offset, message };
    }
    // The text of a scalar may be a bracket.
    if (!isScalar && !isMark) depth += DEPTH_CHANGES.get(token) ?? 0;
    if (depth > LIMITS.depth) return { path: [], offset, message: "the file nests too deeply" };
    if (depth < 0) return { path: [], offset, message: `not valid YAML: ${token} that closes nothing` };
    isScalar = !isScalar && token === CST.SCALAR;
    if (!isMark) offset += token.length;
  }
  return undefined;
}

const DEPTH_CHANGES: ReadonlyMap<string, number> = new Map([
  ["[", 1],
  ["{", 1],
  ["]", -1],
  ["}", -1],
]);

/** The library makes an Error of everything that is wrong, and a hostile file has half a million: none needs its stack. */
function parsed(source: string, lineCounter: LineCounter): Document.Parsed {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    // Whether keys are unique is checked by the reader: the library compares every key with every other one.
    return parseDocument(source, { lineCounter, prettyErrors: false, logLevel: "error", uniqueKeys: false });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function readDocument(document: Document.Parsed, places: YamlPlaces, asWritten: AsWritten): YamlText {
  const root: Node | null = document.contents;
  const reader = new YamlReader(asWritten);
  const value = reader.read(root);
  places.setRoot(root, reader.targets);
  return { value: reader.exhausted ? undefined : value, findings: reader.findings, positions: places };
}

function toFinding(error: YAMLError): Finding {
  const finding = { path: [], offset: error.pos[0] };
  const text = error.message.split("\n")[0] ?? "";
  if (error.code === "RESOURCE_EXHAUSTION") return { ...finding, message: "the file nests too deeply" };
  if (error.code === "MULTIPLE_DOCS") {
    return {
      ...finding,
      message: "the file holds more than one YAML document",
      hint: 'remove the "---" and what follows',
    };
  }
  if (error.code === "BAD_SCALAR_START") {
    return { ...finding, message: `not valid YAML: ${text}`, hint: "put the value in quotes" };
  }
  if (error.code === "TAG_RESOLVE_FAILED" && text.startsWith("Unresolved tag")) {
    return { ...finding, message: `not valid YAML: ${text}`, hint: "put a value that begins with ! in quotes" };
  }
  if (error.code === "TAB_AS_INDENT") {
    return { ...finding, message: "not valid YAML: a tab indents the line", hint: "indent with spaces" };
  }
  return { ...finding, message: `not valid YAML: ${text}` };
}
