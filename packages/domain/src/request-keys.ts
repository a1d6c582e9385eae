import { MatchKind, type RequestKey, type RequestMatch, RequestSource } from "@kedge/proto";
import type { SpecProblem } from "./spec-problem.ts";

/** Longest name of a header or cookie that decides where a request goes. */
const MAX_NAME = 64;
/** Most values of a match, and the longest of them in bytes. */
const MAX_VALUES = 64;
const MAX_VALUE_BYTES = 128;

/** A token of RFC 9110, section 5.6.2: what names of headers and cookies are made of. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Headers that say how a message is sent, not who sent it: proxies add, change and drop them (RFC 9110, section 7.6.1). */
const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Tells whether a text is a legal name of a header or cookie, short enough to route by. */
export function isFieldName(name: string): boolean {
  return name.length <= MAX_NAME && TOKEN.test(name);
}

/** What is wrong with the key that requests are told apart by; undefined when it can be used. */
export function requestKeyProblem(key: RequestKey | undefined): SpecProblem | undefined {
  if (key?.source !== RequestSource.HEADER && key?.source !== RequestSource.COOKIE) {
    return { path: ["source"], message: "must be a header or a cookie" };
  }
  const what = key.source === RequestSource.HEADER ? "header" : "cookie";
  if (!isFieldName(key.name)) {
    const hint = `letters, digits and !#$%&'*+-.^_\`|~ (a token of RFC 9110), 1 to ${MAX_NAME} characters`;
    return { path: ["name"], message: `${JSON.stringify(key.name.slice(0, 80))} is not the name of a ${what}`, hint };
  }
  return what === "header" ? reservedProblem(key.name.toLowerCase()) : undefined;
}

function reservedProblem(name: string): SpecProblem | undefined {
  const path = ["name"];
  if (name.startsWith("kedge-")) {
    return { path, message: `header ${name} is the gateway's own`, hint: "name a header of your clients" };
  }
  if (name === "cookie") return { path, message: "header cookie holds all cookies", hint: "name one cookie instead" };
  if (!RESERVED_HEADERS.has(name)) return undefined;
  const hint = "name a header of your clients, e.g. x-user";
  return { path, message: `header ${name} is about the connection and says nothing of who sends a request`, hint };
}

/** What is wrong with a match, its key included. */
export function requestMatchProblems({ key, kind, values }: RequestMatch): SpecProblem[] {
  const problems: SpecProblem[] = [];
  const keyProblem = requestKeyProblem(key);
  if (keyProblem !== undefined) problems.push({ ...keyProblem, path: ["key", ...keyProblem.path] });
  if (kind !== MatchKind.EXACT && kind !== MatchKind.PREFIX) {
    problems.push({ path: ["kind"], message: "must be exact or prefix" });
  }
  if (values.length < 1 || values.length > MAX_VALUES) {
    problems.push({ path: ["values"], message: `must have 1 to ${MAX_VALUES} values, not ${values.length}` });
  }
  const seen = new Set<string>();
  for (const [i, value] of values.entries()) {
    const found = seen.has(value) ? { message: "is there already" } : valueProblem(value, key, kind);
    seen.add(value);
    if (found !== undefined) problems.push({ path: ["values", i], ...found });
  }
  return problems;
}

type ValueProblem = Pick<SpecProblem, "message" | "hint">;

/** What no request could ever carry, or what could only confuse. */
function valueProblem(value: string, key: RequestKey | undefined, kind: MatchKind): ValueProblem | undefined {
  const bytes = new TextEncoder().encode(value).length;
  if (bytes < 1 || bytes > MAX_VALUE_BYTES) return { message: `must be 1 to ${MAX_VALUE_BYTES} bytes, not ${bytes}` };
  if (hasControls(value)) return { message: "must not hold control characters" };
  const isPrefix = kind === MatchKind.PREFIX;
  if (/^\s/.test(value) || (!isPrefix && /\s$/.test(value))) {
    return { message: "would never match: blanks around a value are no part of it" };
  }
  if (key?.source === RequestSource.COOKIE && value.includes(";")) {
    return { message: "would never match: a semicolon ends a cookie's value" };
  }
  return undefined;
}

function hasControls(value: string): boolean {
  return [...value].some((character) => character < " " || character === "\u007f");
}
