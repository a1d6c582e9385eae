import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { decompressZstd, silentLogger, systemClock } from "@kedge/kernel";
import { type LogChunk, LogCompression, LogStream, TaskRefFullSchema } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MASKS_FILE } from "../logs/log-masks.ts";
import { MAX_CHUNK_BYTES } from "../logs/log-queue.ts";
import { LogPublisher, type LogPublisherOptions } from "./log-publisher.ts";

const { STDOUT, STDERR, SYSTEM } = LogStream;
const MIB = 1024 * 1024;

describe("LogPublisher", () => {
  let dir = "";
  let sent: LogChunk[] = [];
  let abort = new AbortController();
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "kedge-log-"));
    sent = [];
    abort = new AbortController();
  });
  afterEach(() => {
    abort.abort();
    rmSync(dir, { recursive: true });
  });

  const store = (chunk: LogChunk): Promise<void> => {
    sent.push(chunk);
    return Promise.resolve();
  };
  const open = (publish = store, more: Partial<LogPublisherOptions> = {}) =>
    new LogPublisher({
      ref: create(TaskRefFullSchema, { taskId: "t" }),
      clock: systemClock,
      logger: silentLogger,
      ...{ spool: join(dir, "log"), workspace: dir, signal: abort.signal, publish },
      ...more,
    });
  const out = (text: string, stdout: number) => ({
    ...{ step: "a", stream: STDOUT, data: Buffer.from(text), workload: "w" },
    offset: { stdout, stderr: 0 },
  });
  const plain = ({ compression, data }: LogChunk): Uint8Array =>
    compression === LogCompression.ZSTD ? decompressZstd(data, MAX_CHUNK_BYTES) : data;
  const text = (chunks: readonly LogChunk[] = sent): string => Buffer.concat(chunks.map(plain)).toString();
  const sequences = (chunks: readonly LogChunk[] = sent): number[] => chunks.map(({ sequence }) => Number(sequence));

  it("numbers chunks, batches small pieces and splits large ones", async () => {
    const log = open();
    await log.write({ ...out("", 0), data: Buffer.alloc(3 * MAX_CHUNK_BYTES + 5, 7) });
    for (let i = 0; i < 100; i++) await log.write({ step: "a", stream: STDERR, data: Buffer.from("x") });
    await log.close();
    expect(sequences()).toEqual(sent.map((_, index) => index + 1));
    expect(sent.every((chunk) => chunk.data.length <= MAX_CHUNK_BYTES)).toBe(true);
    expect(text().length).toBe(3 * MAX_CHUNK_BYTES + 105);
    expect(sent.length).toBeLessThan(10);
  });

  it("sends everything again from the first chunk that was not stored, in order", async () => {
    let calls = 0;
    // Of the chunks that are sent at once every third is not stored, though others behind it are.
    const log = open(async (chunk) => {
      calls += 1;
      if (calls > 2 && calls % 3 === 0 && calls < 20) throw new Error("down");
      await store(chunk);
    });
    for (let i = 0; i < 8; i++) await log.write({ step: `${i}`, stream: STDOUT, data: Buffer.from(`${i}\n`) });
    await log.close();
    let last = 0;
    const inOrder = sequences().filter((sequence) => sequence === last + 1 && ++last > 0);
    expect(inOrder).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(sent.length).toBeGreaterThan(8);
    const numbered = new Map(sent.map((chunk) => [Number(chunk.sequence), chunk]));
    expect(text([...numbered.values()].sort((a, b) => Number(a.sequence - b.sequence)))).toBe(
      "0\n1\n2\n3\n4\n5\n6\n7\n",
    );
  });

  it("sends exactly the chunks again that an earlier process did not see stored", async () => {
    const first = open((chunk) => (chunk.sequence < 3n ? store(chunk) : new Promise(() => {})));
    for (const [index, step] of ["a", "b", "c", "d"].entries()) {
      await first.write({ ...out(`${step}\n`, 2 * (index + 1)), step });
    }
    await expect.poll(() => sequences()).toEqual([1, 2]);
    await expect.poll(() => first.offsetOf("w")).toEqual({ stdout: 8, stderr: 0 });
    const second = open();
    second.resume();
    expect(second.offsetOf("w")).toEqual({ stdout: 8, stderr: 0 });
    expect(second.offsetOf("other")).toBeUndefined();
    await second.note("e", "more");
    await second.close();
    expect(sequences()).toEqual([1, 2, 3, 4, 5]);
    expect(text()).toBe("a\nb\nc\nd\nmore\n");
    const third = open();
    third.resume();
    third.forget("w");
    await third.note("f", "last");
    await third.close();
    expect(sequences()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(third.offsetOf("w")).toBeUndefined();
  });

  it("goes by the last chunk that is whole when a kill cut the file off", async () => {
    const first = open(() => new Promise(() => {}));
    await first.write({ ...out("one\n", 4), step: "a" });
    await first.write({ ...out("two\n", 8), step: "b" });
    const path = join(dir, "log");
    await expect.poll(async () => (await stat(path).catch(() => ({ size: 0 }))).size).toBeGreaterThan(250);
    const { size } = await stat(path);
    for (let cut = 1; cut < 6; cut += 1) {
      truncateSync(path, size - cut);
      sent = [];
      const next = open();
      next.resume();
      expect(next.offsetOf("w")).toEqual({ stdout: 4, stderr: 0 });
      await next.close();
      expect(text()).toBe("one\n");
    }
  });

  it("keeps its file small while much goes through, and holds no more than a few MiB", async () => {
    let waiting: (() => void)[] = [];
    let stored = 0;
    const log = open(async (chunk) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      stored += plain(chunk).length;
    });
    // What cannot be compressed.
    const noise = randomBytes(MIB / 4);
    let written = 0;
    const writing = (async () => {
      for (; written < 80 * MIB; written += MIB / 4) {
        await log.write({ ...out("", written + MIB / 4), data: noise });
      }
      await log.close();
    })();
    await expect.poll(() => written).toBeGreaterThan(4 * MIB);
    while (stored < 80 * MIB) {
      expect(written - stored).toBeLessThan(10 * MIB);
      const now = waiting;
      waiting = [];
      for (const resolve of now) resolve();
      await systemClock.sleep(0);
    }
    await writing;
    expect((await stat(join(dir, "log"))).size).toBeLessThan(40 * MIB);
  });

  it("does not wait for what is written after it was asked to close", async () => {
    const log = open();
    let isOver = false;
    const flood = (async () => {
      while (!isOver) {
        await log.write({ step: "service", stream: STDERR, data: Buffer.from("again\n") });
        await systemClock.sleep(0);
      }
    })();
    await log.write({ step: "a", stream: STDOUT, data: Buffer.from("mine\n") });
    await log.close();
    expect(text(sent.filter(({ step }) => step === "a"))).toBe("mine\n");
    isOver = true;
    await flood;
    await log.close();
  });

  it("masks what it was given, also in its own lines, and says what is too short for that", async () => {
    const log = open();
    await log.mask(
      new Map([
        ["token", Buffer.from("hunter22")],
        ["pin", Buffer.from("1234")],
      ]),
    );
    await log.write({ step: "a", stream: STDOUT, data: Buffer.from("it is hunt") });
    await log.write({ step: "a", stream: STDERR, data: Buffer.from("er22 is not it\n") });
    await log.write({ step: "a", stream: STDOUT, data: Buffer.from("er22 1234\nhunter") });
    log.finish("a");
    await log.note("a", `exited: ${Buffer.from("hunter22").toString("base64")}`);
    await log.close();
    const of = (stream: LogStream): string => text(sent.filter((chunk) => chunk.stream === stream));
    expect(of(STDOUT)).toBe("it is *** 1234\nhunter");
    expect(of(STDERR)).toBe("er22 is not it\n");
    expect(of(SYSTEM)).toBe("too short to be masked in this log: pin\nexited: ***=\n");
    expect(log.masked("x=hunter22")).toBe("x=***");
  });

  it("reads again what it held back when its process was killed, and leaks none of it", async () => {
    const output = "begin\nthe password is hunter22, really\n";
    const secrets = new Map([["token", Buffer.from("hunter22")]]);
    for (let cut = 0; cut <= output.length; cut += 1) {
      rmSync(join(dir, "log"), { force: true });
      sent = [];
      const killed = new AbortController();
      const first = open(store, { signal: killed.signal });
      await first.mask(secrets);
      await first.write(out(output.slice(0, cut), cut));
      await first.close();
      killed.abort();
      const second = open();
      second.resume();
      await second.mask(secrets);
      const { stdout } = second.offsetOf("w") ?? { stdout: 0 };
      await second.write(out(output.slice(stdout), output.length));
      second.finish("a", { workload: "w" });
      await second.close();
      expect(text()).toBe("begin\nthe password is ***, really\n");
      expect(second.offsetOf("w")).toEqual({ stdout: output.length, stderr: 0 });
    }
  });

  it("masks what a step names before it prints it, and follows no link", async () => {
    const log = open();
    await log.write({ step: "a", stream: STDOUT, data: Buffer.from("s3ssion-1\n") });
    writeFileSync(join(dir, MASKS_FILE), "s3ssion-1\n\nxy\n");
    await log.write({ step: "a", stream: STDOUT, data: Buffer.from("s3ssion-1 xy\n") });
    rmSync(join(dir, MASKS_FILE));
    writeFileSync(join(dir, "other"), "visible\n");
    symlinkSync(join(dir, "other"), join(dir, MASKS_FILE));
    await log.write({ step: "a", stream: STDOUT, data: Buffer.from("s3ssion-1 visible\n") });
    await log.close();
    expect(text()).toBe("s3ssion-1\n*** xy\n*** visible\n");
  });

  it("says once that its limit is reached, and drops the rest but its own lines", async () => {
    const first = open(store, { limitBytes: 10 });
    await first.write(out("01234", 5));
    await first.write(out("56789abc", 13));
    await first.write(out("def", 16));
    await first.note("a", "failed");
    await first.close();
    const second = open(store, { limitBytes: 10 });
    second.resume();
    await second.write(out("ghi", 19));
    await second.note("a", "ended");
    await second.close();
    const note = "the log has reached its limit of 10 bytes; the rest of the output is dropped\n";
    expect(text()).toBe(`0123456789${note}failed\nended\n`);
  });
});
