import { createServer } from "node:net";
import { systemClock } from "@kedge/kernel";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createResolver } from "./addresses.ts";
import { type Post, parseRetryAfter, post } from "./http-post.ts";
import { type ReceiverServer, startReceiver } from "./testing/receiver-server.ts";

let receiver: ReceiverServer;
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.stop());

const send = (more: Partial<Post> = {}, signal = new AbortController().signal) => {
  const message = { url: receiver.url, body: '{"a":"ä"}', headers: { "x-team": "a" }, allowPrivate: true };
  return post({ ...message, ...more }, { clock: systemClock, resolve: createResolver(), signal });
};

test("posts JSON", async () => {
  expect(await send()).toEqual({ kind: "taken" });
  expect(receiver.received).toMatchObject([
    { path: "/hook", body: '{"a":"ä"}', headers: { "x-team": "a", "content-type": "application/json" } },
  ]);
});

test("a private address is not even connected to without leave, by name or by number", async () => {
  for (const host of ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1"]) {
    const outcome = await send({ url: `http://${host}:${receiver.port}/hook`, allowPrivate: false });
    expect(outcome).toMatchObject({ kind: "failed", error: expect.stringMatching(/is refused: it is private/) });
  }
  expect(await send({ url: "http://169.254.169.254/latest/meta-data" })).toMatchObject({
    error: expect.stringMatching(/refused/),
  });
  expect(receiver.received).toEqual([]);
});

test("what is connected to is what was looked at, whatever the name resolves to next", async () => {
  const answers = ["192.0.2.1", "127.0.0.1"];
  const resolve = async () => [{ address: answers.shift() ?? "127.0.0.1", family: 4 }];
  const message = { url: `http://rebind.example:${receiver.port}/`, body: "", headers: {} };
  const { signal } = new AbortController();
  const hasty = { ...systemClock, after: (_ms: number, callback: () => void) => systemClock.after(50, callback) };
  const outcome = await post({ ...message, allowPrivate: false }, { clock: hasty, resolve, signal });
  expect(outcome.kind).toBe("failed");
  expect({ answers, received: receiver.received }).toEqual({ answers: ["127.0.0.1"], received: [] });
});

test("follows no redirect", async () => {
  const other = await startReceiver();
  receiver.answer = () => ({ status: 307, headers: { location: other.url } });
  expect(await send()).toEqual({
    kind: "failed",
    status: 307,
    error: "HTTP 307 Temporary Redirect (redirects are not followed)",
  });
  expect(other.received).toEqual([]);
  await other.stop();
});

test("tells what the receiver asks for, and a Slack-like code word, but nothing else that it says", async () => {
  receiver.answer = () => ({ status: 429, headers: { "retry-after": "7" }, body: "rate_limited" });
  expect(await send()).toEqual({
    kind: "failed",
    status: 429,
    error: "HTTP 429 Too Many Requests (rate_limited)",
    retryAfterMs: 7_000,
  });
  receiver.answer = () => ({ status: 500, body: "AWS_SECRET=hunter2" });
  expect(await send()).toEqual({ kind: "failed", status: 500, error: "HTTP 500 Internal Server Error" });
});

test("an answer without end is not read to its end", async () => {
  receiver.answer = () => ({ status: 200, body: "x".repeat(50 * 1024 * 1024) });
  expect(await send()).toEqual({ kind: "taken" });
});

test("the address stays out of errors", async () => {
  await receiver.stop();
  expect(await send({ url: `${receiver.url}/secret` })).toEqual({
    kind: "failed",
    error: "cannot be reached: ECONNREFUSED",
  });
});

test("what is no HTTP, and what hangs up, is a failure", async () => {
  const server = createServer((socket) => socket.end("hello\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  expect(await send({ url: `http://127.0.0.1:${port}/` })).toMatchObject({ kind: "failed" });
  expect(await send({ url: `https://127.0.0.1:${receiver.port}/` })).toMatchObject({ kind: "failed" });
  server.close();
});

test("who never answers is given up, at the latest when the term ends", async () => {
  const abort = new AbortController();
  receiver.answer = () => {
    abort.abort();
    return undefined;
  };
  expect(await send({}, abort.signal)).toMatchObject({ kind: "failed" });
  receiver.answer = () => undefined;
  const hasty = { ...systemClock, after: (_ms: number, callback: () => void) => systemClock.after(50, callback) };
  const message = { url: receiver.url, body: "", headers: {}, allowPrivate: true };
  expect(
    await post(message, { clock: hasty, resolve: createResolver(), signal: new AbortController().signal }),
  ).toEqual({
    kind: "failed",
    error: "no answer within 10 s",
  });
});

test("Retry-After is seconds or a date, an hour at most", () => {
  const now = Date.UTC(2026, 0, 1);
  expect(parseRetryAfter("120", now)).toBe(120_000);
  expect(parseRetryAfter("Thu, 01 Jan 2026 00:00:05 GMT", now)).toBe(5_000);
  expect(parseRetryAfter("Wed, 31 Dec 2025 00:00:00 GMT", now)).toBe(0);
  expect(parseRetryAfter("999999999", now)).toBe(3_600_000);
  for (const text of [undefined, "soon", "-1", "1e9"]) expect(parseRetryAfter(text, now)).toBeUndefined();
});
