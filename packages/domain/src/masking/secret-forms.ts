/** Fewest bytes of a value that are masked: what is shorter stands in logs by chance all the time. */
export const MIN_MASKED_BYTES = 6;

/** Values longer than this are looked for as they are, by line and in base64 only. */
const MAX_ESCAPED_BYTES = 8 * 1024;
/** Columns at which tools break base64: 76 (MIME, coreutils), 64 (PEM, OpenSSL). */
const BASE64_COLUMNS = [76, 64] as const;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

const encoder = new TextEncoder();

/** The bytes of a value without what stands around it: files of secrets end in a line end that is no part of them. */
export function trimSecret(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  let start = 0;
  let end = bytes.length;
  while (start < end && isSpace(bytes[start])) start += 1;
  while (end > start && isSpace(bytes[end - 1])) end -= 1;
  return bytes.subarray(start, end);
}

/** Whether a value is long enough to be masked. */
export function isMaskable(value: Uint8Array | string): boolean {
  return trimSecret(value).length >= MIN_MASKED_BYTES;
}

/**
 * Every form in which a value is looked for: as it is, each line of it alone, its lines joined in other ways, base64
 * (both alphabets, at each of the three places a group can begin, and broken into lines), hex, and escaped for URLs,
 * JSON, XML, shells and Go's %q. Each is at least 6 bytes long; none stands twice.
 */
export function secretForms(value: Uint8Array | string): Uint8Array[] {
  const bytes = trimSecret(value);
  if (bytes.length < MIN_MASKED_BYTES) return [];
  const text = utf8(bytes);
  const forms = new Map<string, Uint8Array>();
  const add = (form: Uint8Array | string): void => {
    const found = typeof form === "string" ? encoder.encode(form) : form;
    if (found.length >= MIN_MASKED_BYTES) forms.set(byteKey(found), found);
  };
  add(bytes);
  for (const form of base64Forms(bytes)) add(form);
  const plain = text === undefined ? [] : [text, ...lineForms(text)];
  for (const form of plain) add(form);
  if (bytes.length > MAX_ESCAPED_BYTES) return [...forms.values()];
  for (const form of hexForms(bytes)) add(form);
  for (const form of plain) for (const escaped of escapedForms(form)) add(escaped);
  return [...forms.values()];
}

/** Each line alone, and all of them joined as other systems end lines, or by a space. */
function lineForms(text: string): string[] {
  const lines = text.split(/\r*\n|\r/);
  if (lines.length === 1) return [];
  const joined = ["\n", "\r\n", "\r\r\n", " "].map((end) => lines.join(end));
  return [...joined, ...lines.map((line) => line.trim())];
}

function escapedForms(text: string): string[] {
  const uri = encodeURIComponent(text);
  const strict = uri.replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
  const json = JSON.stringify(text).slice(1, -1);
  return [
    ...[uri, strict, uri.replaceAll("%20", "+"), strict.replaceAll("%20", "+")].flatMap((form) => [
      form,
      lowerHex(form),
    ]),
    encodeURI(text),
    ...jsonForms(json),
    ...jsonForms(json).map((form) => JSON.stringify(form).slice(1, -1)),
    ...xmlForms(text),
    ...shellForms(text),
  ];
}

function jsonForms(json: string): string[] {
  const ascii = json.replace(/[^\0-\x7e]/g, unicodeEscape);
  const html = json.replace(/[<>&]/g, unicodeEscape);
  return [json, json.replaceAll("/", "\\/"), ascii, html, ascii.replace(/[<>&]/g, unicodeEscape)];
}

function xmlForms(text: string): string[] {
  const basic = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const quote = (double: string, single: string): string => basic.replaceAll('"', double).replaceAll("'", single);
  return [
    basic,
    quote("&quot;", "&apos;"),
    quote("&quot;", "&#39;"),
    quote("&#34;", "&#39;"),
    quote("&quot;", "&#x27;"),
  ];
}

/** As shells show words in a trace or by printf %q, and as they are written inside quotes. */
function shellForms(text: string): string[] {
  const dollar = text.replace(/[\\']/g, "\\$&").replace(/[\n\r\t]/g, (mark) => NAMED[mark] ?? mark);
  return [
    text.replaceAll("'", "'\\''"),
    text.replaceAll("'", `'"'"'`),
    text.replace(/[^\w%+,./:=@\n-]/g, "\\$&"),
    text.replace(/[\\"$`]/g, "\\$&"),
    dollar,
  ];
}

function hexForms(bytes: Uint8Array): string[] {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex, hex.toUpperCase()];
}

/**
 * Base64 of the value wherever it stands in what was encoded: a group of four characters begins with its first, second
 * or third byte, and of the characters at both ends only those are kept that no neighbour has a part in.
 */
function base64Forms(bytes: Uint8Array): string[] {
  const aligned = [0, 1, 2].map((skip) => alignedBase64(bytes, skip));
  const whole = aligned[0] ?? "";
  const broken = BASE64_COLUMNS.flatMap((columns) => cut(whole, columns));
  // Alone, its last character is its own, too.
  const padded = whole.padEnd(Math.ceil((bytes.length * 4) / 3), lastBase64(bytes));
  const forms = [...aligned, padded, ...broken];
  return [...forms, ...forms.map((form) => form.replaceAll("+", "-").replaceAll("/", "_"))];
}

function alignedBase64(bytes: Uint8Array, skip: number): string {
  const end = Math.floor(((bytes.length + skip) * 8) / 6);
  let text = "";
  for (let at = Math.ceil((skip * 8) / 6); at < end; at += 1) {
    const bit = at * 6 - skip * 8;
    const first = bytes[bit >> 3] ?? 0;
    const pair = (first << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    text += ALPHABET[(pair >> (10 - (bit & 7))) & 63];
  }
  return text;
}

/** The character for the last bits of bytes that end within one. */
function lastBase64(bytes: Uint8Array): string {
  const bits = (bytes.length * 8) % 6;
  return ALPHABET[((bytes.at(-1) ?? 0) << (6 - bits)) & 63] ?? "";
}

function cut(text: string, columns: number): string[] {
  if (text.length <= columns) return [];
  return Array.from({ length: Math.ceil(text.length / columns) }, (_, n) => text.slice(n * columns, (n + 1) * columns));
}

function lowerHex(uri: string): string {
  return uri.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
}

function unicodeEscape(mark: string): string {
  return `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined; // Not text: nothing escapes it.
  }
}

/** A key for bytes in a map: one character each. */
export function byteKey(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}
