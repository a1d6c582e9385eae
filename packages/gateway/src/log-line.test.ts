import fc from "fast-check";
import { expect, test } from "vitest";
import { parseLogLine } from "./log-line.ts";
import { FrameReader } from "./log-listener.ts";

test("reads what HAProxy writes", () => {
  expect(parseLogLine('g917 4 {s0:8|||} e1 200 -- 1643 0 {a, "b #7Bc#7D #C3#A9#0A}')).toEqual({
    pid: 917,
    stream: "g917",
    number: 4,
    epoch: 8,
    kind: "split",
    chosenSlot: undefined,
    user: undefined,
    copy: undefined,
    slot: 1,
    status: 200,
    end: "complete",
    latencyMs: 1.643,
    retried: false,
    redispatched: false,
    label: 'a, "b {c} \u00e9\uFFFD',
  });
  expect(parseLogLine("g1 2 {s0:8|||} e1 -1 CD 5 +1 {}")).toMatchObject({
    status: 0,
    end: "client",
    redispatched: true,
  });
  const unserved = parseLogLine("g1 2 {s0:8|||} <NOSRV> 503 SC 0 0 {}");
  expect(unserved).toMatchObject({ slot: undefined, end: "cut", label: undefined });
  expect(parseLogLine("g1 2 <NOSRV> 400 PR - 0 ")).toMatchObject({ number: 2, epoch: undefined });
});

test("reads what was chosen: the split it was chosen by is the one of the table, not of the route", () => {
  expect(parseLogLine("g1 2 {s0:8:ckd|e3:9|4294967295|4:1.52} e0 200 -- 5 +2 {}")).toMatchObject({
    ...{ epoch: 9, kind: "split", chosenSlot: 3, slot: 0, user: 4_294_967_295, copy: { slot: 4, number: "1.52" } },
    ...{ retried: true, redispatched: true },
  });
  expect(parseLogLine("g1 2 {s0:8:cm|e3:9:m||} e3 200 -- 5 0 {}")).toMatchObject({ kind: "matched", retried: false });
  expect(parseLogLine("g1 2 {s0:8:cm|e3:9:p||} e3 200 -- 5 0 {}")).toMatchObject({ kind: "preview" });
  expect(parseLogLine("m1 2 {s0:8:cd|e3:9:s||4:1.52} e3 -1 sH 5 0 {}")).toMatchObject({ kind: "shadow", end: "cut" });
  expect(parseLogLine("g1 2 {s0:8:cd|e3:9||4:large} e3 200 -- 5 0 {}")).toMatchObject({
    copy: { slot: 4, number: "large" },
  });
});

test("any text and any bytes give a record or nothing", () => {
  const token = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "{s0:8|||}",
      "{s0:8:c|e1:8:m|7|4:1.2}",
      "e1",
      "200",
      "--",
      "-1",
      "+1",
      "{#FF}",
      "-",
      "{}",
      "99999999999999999",
    ),
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 9 }), (tokens) => {
      parseLogLine(tokens.join(" "));
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (chunks) => {
      const reader = new FrameReader();
      for (const chunk of chunks) if (reader.push(Buffer.from(chunk)) === undefined) return;
    }),
  );
});

test("messages come out whole however the stream is cut", () => {
  const messages = fc.array(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 40 }), { maxLength: 20 });
  fc.assert(
    fc.property(messages, fc.integer({ min: 1, max: 50 }), (sent, size) => {
      const bytes = Buffer.from(sent.map((message) => `${message.length} ${message}`).join(""), "latin1");
      const reader = new FrameReader();
      const got: string[] = [];
      for (let at = 0; at < bytes.length; at += size)
        got.push(...(reader.push(bytes.subarray(at, at + size)) ?? ["broken"]));
      expect(got).toEqual(sent);
    }),
  );
});
