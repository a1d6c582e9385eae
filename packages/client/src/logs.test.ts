import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { compressZstd } from "@kedge/kernel";
import {
  LogChunkSchema,
  LogCompression,
  RunService,
  type StreamLogsRequest,
  type StreamLogsResponseSchema,
} from "@kedge/proto";
import { bindService, type RpcServer } from "@kedge/rpc";
import { afterEach, expect, test } from "vitest";
import { createKedgeClient, followLogs, type KedgeClient, logLines } from "./index.ts";
import { makeIdentity, serve } from "./testing/server.ts";

type Answer = MessageInitShape<typeof StreamLogsResponseSchema>;

const identity = makeIdentity();
const refuse = (): Promise<never> => Promise.reject(new KedgeError("INTERNAL", "not part of this test"));
let server: RpcServer | undefined;
let client: KedgeClient | undefined;
afterEach(async () => {
  client?.close();
  await server?.stop(100);
});

/** A server whose connection breaks after each of these lists of answers but the last. */
async function serveLogs(...parts: readonly (readonly Answer[])[]): Promise<StreamLogsRequest[]> {
  const requests: StreamLogsRequest[] = [];
  const calls = { submitRun: refuse, getRun: refuse, listRuns: refuse, cancelRun: refuse, retryRun: refuse };
  const words = { approveRun: refuse, rejectRun: refuse, listApprovals: refuse, addJobs: refuse };
  const service = bindService(RunService, {
    ...{ ...calls, ...words, approveJob: refuse, rejectJob: refuse, async *watchRun() {} },
    async *streamLogs(request) {
      yield* parts[requests.push(request) - 1] ?? [];
      if (requests.length < parts.length) throw new KedgeError("NOT_LEADER", "moved");
    },
  });
  server = await serve(identity, [service]);
  client = createKedgeClient({ address: `127.0.0.1:${server.port}`, caPem: identity.certPem, token: "t" });
  return requests;
}

const answer = (sequence: number, position: number, text: string, taskId = "t"): Answer => ({
  ...{ job: "j", position: BigInt(position) },
  chunk: create(LogChunkSchema, { ref: { taskId }, sequence: BigInt(sequence), data: Buffer.from(text) }),
});
const to = (): KedgeClient => client ?? createKedgeClient({ address: "127.0.0.1:1", caPem: identity.certPem });

test("a log goes on behind what was read, as the server is told, and nothing comes twice", async () => {
  const requests = await serveLogs(
    [answer(4, 10, "a\n"), answer(1, 12, "b\n", "u")],
    [answer(4, 11, "a\n"), answer(5, 14, "c\n")],
    [answer(6, 15, "d\n")],
  );
  const lines: string[] = [];
  const options = { runId: "r", tail: 7, step: "s" };
  for await (const { text } of logLines(followLogs(to(), options))) lines.push(text);
  expect(lines).toEqual(["a", "b", "c", "d"]);
  const asked = requests.map(({ tail, step, position, after }) => ({ tail, step, position, after }));
  expect(asked).toEqual([
    { tail: 7, step: "s", position: 0n, after: {} },
    { tail: 7, step: "s", position: 12n, after: { t: 4n, u: 1n } },
    { tail: 7, step: "s", position: 14n, after: { t: 5n, u: 1n } },
  ]);
});

test("a search that is interrupted begins anew, and skips what was handed out", async () => {
  const found = (line: number): Answer => ({ job: "j", excerpt: { line: BigInt(line), text: `${line}`, found: true } });
  await serveLogs(
    [found(1), found(2)],
    [found(1)],
    [found(1), found(2), found(3), { summary: { found: 3n, lines: 9n } }],
  );
  const seen: string[] = [];
  for await (const { excerpt, summary } of followLogs(to(), { runId: "r", search: "x" })) {
    seen.push(excerpt?.text ?? `of ${summary?.lines}`);
  }
  expect(seen).toEqual(["1", "2", "3", "of 9"]);
});

test("compressed chunks arrive plain, and a bomb is refused", async () => {
  const packed = (text: string): Answer => {
    const data = compressZstd(Buffer.from(text)) ?? new Uint8Array(0);
    return { chunk: create(LogChunkSchema, { compression: LogCompression.ZSTD, data }) };
  };
  const requests = await serveLogs([packed("line\n".repeat(1000)), packed("x".repeat(600_000))]);
  const answers = followLogs(to(), { runId: "r" });
  const first = await answers.next();
  expect(Buffer.from(first.value?.chunk?.data ?? []).toString()).toBe("line\n".repeat(1000));
  expect(requests[0]?.compressed).toBe(true);
  await expect(answers.next()).rejects.toThrow();
});
