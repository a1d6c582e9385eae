import { MatchKind, type RequestKey, type RequestMatch, RequestSource } from "@kedge/proto";

/** Bytes that mean themselves to regular expressions, map files and HAProxy's command line alike. */
const PLAIN = /[A-Za-z0-9_-]/;
/** As it is, it would end a command. */
const SEMICOLON = "\\x3b";

/**
 * Regular expressions (PCRE2, bytes) over a request's header block as HAProxy writes it: names in lower case, one line
 * `name: value\r\n` each. Whatever comes from a rule is written in letters, digits and `\x20` escapes, so it can end
 * neither the expression nor a command.
 */
export function matchPattern({ key, kind }: RequestMatch, value: string): string {
  const last = isCookie(key) ? `\\x20*(?:${SEMICOLON}|\\r)` : "\\r";
  return `${beginning(key)}${escaped(value)}${kind === MatchKind.PREFIX ? "" : last}`;
}

/** Finds a value; group 1 is the value. Does not match an empty one. */
export function valuePattern(key: RequestKey | undefined): string {
  return `${beginning(key)}(${isCookie(key) ? `[^${SEMICOLON}\\r\\n]+` : "[^\\r\\n]+"})`;
}

function beginning(key: RequestKey | undefined): string {
  const name = key?.name ?? "";
  if (!isCookie(key)) return `(?:^|\\n)${escaped(name.toLowerCase())}:\\x20`;
  return `(?:^|\\n)cookie:\\x20(?:[^\\r\\n]*${SEMICOLON}\\x20*)?${escaped(name)}=`;
}

function isCookie(key: RequestKey | undefined): boolean {
  return key?.source === RequestSource.COOKIE;
}

function escaped(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return PLAIN.test(character) ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");
}
