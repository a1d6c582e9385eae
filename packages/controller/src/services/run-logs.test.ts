import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { publishLog } from "@kedge/bus";
import { systemClock } from "@kedge/kernel";
import {
  JobState,
  LogChunkSchema,
  RunSchema,
  RunState,
  StreamLogsRequestSchema,
  type StreamLogsResponseSchema,
} from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { streamRunLogs } from "./run-logs.ts";

type Answer = MessageInitShape<typeof StreamLogsResponseSchema>;

describe("logs of a run", () => {
  let world: TestStores;
  const abort = new AbortController();
  beforeAll(async () => {
    world = await startTestStores();
  });
  afterAll(async () => {
    abort.abort();
    await world.stop();
  });

  const makeRun = async (id: string, state = RunState.SUCCEEDED) => {
    const task = (job: string) => ({ id: `${id}-${job}-1`, nodeId: "n1", fence: 1 });
    const steps = [
      { name: "good", state: JobState.SUCCEEDED },
      { name: "bad", state: JobState.FAILED },
    ];
    const run = create(RunSchema, {
      ...{ id, state },
      jobs: [
        { spec: { name: "a" }, state: JobState.SUCCEEDED, tasks: [task("a")], steps },
        { spec: { name: "b" }, state: JobState.FAILED, tasks: [task("b")], steps },
      ],
    });
    return (await world.stores.runs.create(id, run)).value;
  };
  const log = (runId: string, job: string, sequence: number, text: string, step = "good", nodeId = "n1") =>
    publishLog(
      world.bus,
      create(LogChunkSchema, {
        ref: { nodeId, taskId: `${runId}-${job}-1`, runId, job, fence: 1 },
        ...{ sequence: BigInt(sequence), step, data: Buffer.from(text) },
      }),
    );
  const open = (runId: string, request: MessageInitShape<typeof StreamLogsRequestSchema>) => {
    const run = world.stores.runs.get(runId)?.value;
    if (run === undefined) throw new Error(`no run ${runId}`);
    const { bus, stores } = world;
    const options = { bus, stores, run, request: create(StreamLogsRequestSchema, { runId, ...request }) };
    return streamRunLogs(options, abort.signal);
  };
  const all = async (runId: string, request: MessageInitShape<typeof StreamLogsRequestSchema> = {}) => {
    const answers: Answer[] = [];
    for await (const answer of open(runId, request)) answers.push(answer);
    return answers;
  };
  const text = (answers: readonly Answer[]): string =>
    answers.map(({ chunk }) => Buffer.from(chunk?.data ?? []).toString()).join("");

  it("come in order and once, though chunks were stored twice and late, and only from nodes of the run", async () => {
    await makeRun("order");
    for (const n of [1, 2, 4, 5, 3, 4, 5, 6]) await log("order", "a", n, `${n}`);
    await log("order", "a", 7, "lie", "good", "n2");
    expect(text(await all("order"))).toBe("123456");
    expect(text(await all("order", { job: "b" }))).toBe("");
  });

  it("go on behind any answer, without what was read", async () => {
    await makeRun("resume");
    for (const n of [1, 2, 4, 3, 4, 5]) await log("resume", "a", n, `${n}`);
    const answers = await all("resume");
    const taskId = "resume-a-1";
    for (const [index, { position = 0n, chunk }] of answers.entries()) {
      const after = { [taskId]: chunk?.sequence ?? 0n };
      expect(text(await all("resume", { position, after }))).toBe(text(answers.slice(index + 1)));
    }
  });

  it("are cut down to the last lines of each job, to a step, a time, or what failed", async () => {
    await makeRun("parts");
    await log("parts", "a", 1, "a1\na2\na3\n");
    await log("parts", "b", 1, "b1\nb2\n");
    await log("parts", "b", 2, "oops 1\noops 2\n", "bad");
    // What was stored is dated to the millisecond, by the same clock.
    await systemClock.sleep(5);
    const since = timestampFromMs(systemClock.now());
    await log("parts", "a", 2, "a4\n");
    expect(text(await all("parts", { tail: 2 }))).toBe("a3\noops 1\noops 2\na4\n");
    expect(text(await all("parts", { tail: 1, step: "good" }))).toBe("b2\na4\n");
    expect(text(await all("parts", { step: "bad" }))).toBe("oops 1\noops 2\n");
    expect(text(await all("parts", { since }))).toBe("a4\n");
    expect(text(await all("parts", { failed: true }))).toBe("oops 1\noops 2\n");
    expect(text(await all("parts", { failed: true, tail: 1 }))).toBe("oops 2\n");
  });

  it("are searched, with neighbours and counts", async () => {
    await makeRun("search");
    await log("search", "a", 1, "one\ntwo\nthr");
    await log("search", "b", 1, "no\n");
    await log("search", "a", 2, "ee\nfour\nand three");
    const answers = await all("search", { search: "three", context: 1 });
    const lines = answers.flatMap(({ job, excerpt }) =>
      excerpt === undefined ? [] : [`${job} ${excerpt.line} ${excerpt.text}`],
    );
    expect(lines).toEqual(["a 2 two", "a 3 three", "a 4 four", "a 5 and three"]);
    expect(answers.at(-1)?.summary).toMatchObject({ found: 2n, lines: 6n });
  });

  it("are followed to the run's end, and what is stored by then is not missed", async () => {
    const run = await makeRun("follow", RunState.RUNNING);
    await log("follow", "a", 1, "begin\n");
    const seen: Answer[] = [];
    const reading = (async () => {
      for await (const answer of open("follow", { follow: true, tail: 5 })) seen.push(answer);
    })();
    await expect.poll(() => text(seen)).toBe("begin\n");
    await log("follow", "b", 1, "more\n");
    await expect.poll(() => text(seen)).toBe("begin\nmore\n");
    const stored = world.stores.runs.get("follow");
    await Promise.all([
      log("follow", "a", 2, "end\n"),
      world.stores.runs.update(
        "follow",
        create(RunSchema, { ...run, state: RunState.SUCCEEDED }),
        stored?.revision ?? 0,
      ),
    ]);
    await reading;
    expect(text(seen)).toBe("begin\nmore\nend\n");
  });

  it.each<[string, MessageInitShape<typeof StreamLogsRequestSchema>]>([
    ["tail", { tail: 100_001 }],
    ["search", { search: "a\nb" }],
    ["search", { search: "x".repeat(1001) }],
    ["context", { context: 1 }],
    ["context", { search: "x", context: 101 }],
    ["failed", { failed: true, follow: true }],
    ["position", { position: 2n ** 60n }],
  ])("are refused with a field %s that cannot be", async (field, request) => {
    await expect(all("parts", request)).rejects.toMatchObject({ reason: "INVALID_FIELD", field });
  });
});
