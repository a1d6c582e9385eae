import { MaskSet } from "@kedge/domain";
import { seeded } from "./random.ts";
import type { FuzzTarget } from "./targets.ts";

const SECRETS = [
  "s3cret-token",
  `${"a".repeat(300)}b`,
  "line one\nline two",
  "pässwörd!",
  "aaaaaaa",
  "{}[]<>&\"'",
] as const;
const [TOKEN] = SECRETS;
const MASKS = new MaskSet(SECRETS);
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const hex = (text: string): string => Buffer.from(text).toString("hex");

/** Logs with secrets in them, however they are written and cut. */
export const maskingTarget: FuzzTarget = {
  name: "log masking",
  seeds: [
    `begin ${TOKEN} end ${base64(`x${TOKEN}y`)} ${hex(TOKEN)}\nhttps://user:${TOKEN}@host/a?b=c\n`,
    `${SECRETS.join(" ")}\n${SECRETS.map(encodeURIComponent).join("&")}\n${SECRETS.map((secret) => JSON.stringify(secret)).join()}`,
    "nothing to see here: https://example.com/a@b, git@host:repo\n",
  ],
  holes: [
    (text) => text,
    (text) => `https://${text}@host/`,
    (text) => `${TOKEN}${text}${TOKEN}`,
    (text) => `${"a".repeat(299)}${text}`,
  ],
  read: readLog,
};

function readLog(text: string): void {
  const data = Buffer.from(text);
  const stream = MASKS.stream();
  const whole = Buffer.concat([stream.push(data), stream.flush()]);
  if (!whole.equals(inPieces(data))) throw new Error("cut into pieces it comes out otherwise");
  for (const secret of SECRETS) {
    for (const form of [secret, base64(secret), hex(secret), hex(secret).toUpperCase()]) {
      if (whole.includes(form)) throw new Error(`${JSON.stringify(form)} came through`);
    }
  }
}

/** Cut by chance, but for the same text in the same places. */
function inPieces(data: Uint8Array): Buffer {
  const random = seeded(data.length);
  const stream = MASKS.stream();
  const out: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const to = at + 1 + random.below(random.below(4) === 0 ? 4096 : 9);
    // What was pushed may be shared with what comes out.
    out.push(stream.push(data.slice(at, to)));
    at = to;
  }
  return Buffer.concat([...out, stream.flush()]);
}
