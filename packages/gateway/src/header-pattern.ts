import type { MatchRule, RequestValue } from "./traffic-rules.ts";

/** Bytes that mean themselves to regular expressions, map files and HAProxy's command line alike. */
const PLAIN = /[A-Za-z0-9_-]/;
/** As it is, it would end a command. */
const SEMICOLON = "\\x3b";

/**
 * Regular expressions (PCRE2, bytes) over a request's header block as HAProxy writes it: names in lower case, one line
 * `name: value\r\n` each. Whatever comes from a rule is written in letters, digits and `\x20` escapes, so it can end
 * neither the expression nor a command.
 */
export function matchPattern(rule: MatchRule, value: string): string {
  const end = rule.kind === "prefix" ? "" : rule.source === "cookie" ? `\\x20*(?:${SEMICOLON}|\\r)` : "\\r";
  return `${beginning(rule)}${escaped(value)}${end}`;
}

/** Finds a value; group 1 is the value. Does not match an empty one. */
export function valuePattern(wanted: RequestValue): string {
  return `${beginning(wanted)}(${wanted.source === "cookie" ? `[^${SEMICOLON}\\r\\n]+` : "[^\\r\\n]+"})`;
}

function beginning({ source, name }: RequestValue): string {
  if (source === "header") return `(?:^|\\n)${escaped(name.toLowerCase())}:\\x20`;
  return `(?:^|\\n)cookie:\\x20(?:[^\\r\\n]*${SEMICOLON}\\x20*)?${escaped(name)}=`;
}

function escaped(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return PLAIN.test(character) ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");
}
