import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "@kedge/kernel";
import { type LogChunk, LogStream, TaskRefFullSchema } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LogPublisher, MAX_CHUNK_BYTES } from "./log-publisher.ts";

describe("LogPublisher", () => {
  let dir = "";
  const sent: LogChunk[] = [];
  const abort = new AbortController();
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "kedge-log-"));
    sent.length = 0;
  });
  afterEach(() => rm(dir, { recursive: true }));

  const open = (publish: (chunk: LogChunk) => Promise<void>) =>
    new LogPublisher({
      ref: create(TaskRefFullSchema, { taskId: "t" }),
      clock: systemClock,
      logger: silentLogger,
      journal: join(dir, "log"),
      signal: abort.signal,
      publish,
    });
  const store = (chunk: LogChunk): Promise<void> => {
    sent.push(chunk);
    return Promise.resolve();
  };

  it("numbers chunks, batches small pieces and splits large ones", async () => {
    const log = open(store);
    const data = Buffer.alloc(150_000, 7);
    await log.write({ step: "a", stream: LogStream.STDOUT, data, workload: "w", cursor: "9" });
    for (let i = 0; i < 100; i++) await log.write({ step: "a", stream: LogStream.STDERR, data: Buffer.from("x") });
    await log.close();
    expect(sent.map((chunk) => Number(chunk.sequence))).toEqual(sent.map((_, index) => index + 1));
    expect(sent.every((chunk) => chunk.data.length <= MAX_CHUNK_BYTES)).toBe(true);
    expect(Buffer.concat(sent.map((chunk) => chunk.data)).length).toBe(150_100);
    expect(sent.length).toBeLessThan(10);
  });

  it("tries again until a chunk is stored, in order", async () => {
    let failures = 3;
    const log = open((chunk) => (failures-- > 0 ? Promise.reject(new Error("down")) : store(chunk)));
    await log.note("a", "one");
    await log.close();
    await log.note("a", "two");
    await log.close();
    expect(sent.map((chunk) => Buffer.from(chunk.data).toString())).toEqual(["one\n", "two\n"]);
  });

  it("sends the journaled chunk again and continues the sequence", async () => {
    const first = open(store);
    await first.write({ step: "a", stream: LogStream.STDOUT, data: Buffer.from("hello"), workload: "w", cursor: "5" });
    await first.close();
    const second = open(store);
    expect(await second.resume()).toEqual({ sequence: 1n, cursors: { w: "5" } });
    await second.note("a", "more");
    await second.close();
    expect(sent.map((chunk) => Number(chunk.sequence))).toEqual([1, 1, 2]);
    expect(sent[1]).toEqual(sent[0]);
  });
});
