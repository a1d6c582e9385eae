// Megabytes a second that are masked with 100 secrets, beside copying the same bytes.
// Run: node -C kedge-source packages/domain/bench/masking.mjs
import { randomBytes } from "node:crypto";
import { MaskSet } from "@kedge/domain";

const ROUNDS = 60;
const PIECE = 256 * 1024;
const WORDS = "the quick brown fox jumps over lazy dogs INFO WARN step 2026-11-25T19:58:41Z loss=0.0123 epoch".split(
  " ",
);

const secrets = Array.from({ length: 100 }, (_, n) => {
  const bytes = randomBytes(8 + (n % 25));
  return ["hex", "base64", "base64url"].map((encoding) => bytes.toString(encoding))[n % 3];
});
const set = new MaskSet(secrets);
const began = performance.now();
if (set.text(`x ${secrets[0]} y`) !== "x *** y") throw new Error("a secret was not masked");
console.log(`100 secrets are ready in ${(performance.now() - began).toFixed(0)} ms`);

let lines = "";
for (let n = 0; lines.length < 1 << 20; n += 1) {
  const line = Array.from({ length: 16 }, (_, k) => WORDS[(n * 7 + k * (1 + (n % 5))) % WORDS.length]);
  lines += `${line.join(" ")}\n`;
}
const texts = {
  "lines of a log": Buffer.from(lines),
  "the same, a secret every 10 kB": Buffer.from(lines.replace(/.{10000}/gs, (part) => part + secrets[7])),
  base64: Buffer.from(randomBytes(786_432).toString("base64")),
};
const hostile = new MaskSet([`${"a".repeat(5000)}b`, `${"a".repeat(3000)}c`]);
for (const [name, text] of Object.entries(texts)) report(name, set, text);
report("hostile: secrets of many a's, text of a's", hostile, Buffer.alloc(1 << 20, "a"));

function report(name, masks, text) {
  const masked = rate(text, () => masks.stream());
  const copied = rate(text, () => ({ push: (data) => Uint8Array.prototype.slice.call(data) }));
  console.log(`${name}: ${masked.toFixed(0)} MB/s; copied ${copied.toFixed(0)} MB/s`);
}

function rate(text, open) {
  const stream = open();
  let bytes = 0;
  const start = performance.now();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let at = 0; at < text.length; at += PIECE) bytes += stream.push(text.subarray(at, at + PIECE)).length;
  }
  const seconds = (performance.now() - start) / 1000;
  if (bytes < text.length * (ROUNDS - 2) * 0.9) throw new Error(`${bytes} bytes came out`);
  return (ROUNDS * text.length) / 1e6 / seconds;
}
