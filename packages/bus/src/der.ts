/** The few DER (ITU-T X.690) values a certificate is made of. */
export const der = {
  sequence: (...parts: Uint8Array[]) => value(0x30, ...parts),
  set: (...parts: Uint8Array[]) => value(0x31, ...parts),
  /** A non-negative integer from its big-endian bytes. */
  integer: (bytes: Uint8Array) => value(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.of(0) : Buffer.alloc(0), bytes),
  boolean: (yes: boolean) => value(0x01, Buffer.of(yes ? 0xff : 0)),
  octets: (bytes: Uint8Array) => value(0x04, bytes),
  /** A bit string; `unused` is the number of unused low bits in the last byte. */
  bits: (bytes: Uint8Array, unused = 0) => value(0x03, Buffer.of(unused), bytes),
  oid: (dotted: string) => value(0x06, oidBytes(dotted)),
  utf8: (text: string) => value(0x0c, Buffer.from(text)),
  /** UTCTime up to 2049, GeneralizedTime from 2050 on, as RFC 5280 asks. */
  time: (ms: number) => {
    const year = new Date(ms).getUTCFullYear();
    const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
    return year < 2050 ? value(0x17, Buffer.from(digits.slice(2))) : value(0x18, Buffer.from(digits));
  },
  /** A context-specific value; `constructed` when it holds other values. */
  tagged: (number: number, constructed: boolean, ...parts: Uint8Array[]) =>
    value(0x80 | (constructed ? 0x20 : 0) | number, ...parts),
} as const;

function value(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag), lengthBytes(body.byteLength), body]);
}

function lengthBytes(length: number): Uint8Array {
  if (length < 0x80) return Buffer.of(length);
  if (length < 0x100) return Buffer.of(0x81, length);
  return Buffer.of(0x82, length >> 8, length & 0xff);
}

function oidBytes(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return Buffer.from([first * 40 + second, ...rest.flatMap(base128)]);
}

function base128(part: number): number[] {
  const digits = [part & 0x7f];
  for (let left = part >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
  return digits;
}
