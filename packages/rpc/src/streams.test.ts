import { KedgeError } from "@kedge/domain";
import { aborted } from "@kedge/kernel";
import { EventService, ModelService, type PushModelRequest } from "@kedge/proto";
import { afterEach, expect, test } from "vitest";
import { createRpcClient } from "./client.ts";
import { bindService } from "./index.ts";
import type { ServiceImplementation } from "./service-types.ts";
import { eventually } from "./testing/eventually.ts";
import { type Harness, startServer } from "./testing/harness.ts";

let cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.reverse()) await step();
  cleanUp = [];
});

type WatchEvents = ServiceImplementation<typeof EventService>["watchEvents"];
type PushModel = ServiceImplementation<typeof ModelService>["pushModel"];

async function serveEvents(watchEvents: WatchEvents) {
  const harness = await startServer([bindService(EventService, { watchEvents })]);
  cleanUp.push(() => harness.server.stop(100));
  const client = createRpcClient(EventService, harness.connection);
  cleanUp.push(async () => client.close());
  return { harness, client };
}

async function serveModels(pushModel: PushModel, options: object = {}) {
  const refuse = (): Promise<never> => Promise.reject(new KedgeError("INTERNAL", "not part of this test"));
  const rest = { getModel: refuse, listModels: refuse, tagModel: refuse, deleteModel: refuse };
  const impl = { ...rest, pushModel, async *pullModel() {} };
  const harness: Harness = await startServer([bindService(ModelService, impl)], options);
  cleanUp.push(() => harness.server.stop(100));
  const client = createRpcClient(ModelService, harness.connection);
  cleanUp.push(async () => client.close());
  return { harness, client };
}

const event = (name: string, bytes = 0) => ({ event: { name, message: "x".repeat(bytes) } });

test("messages arrive in order, then the stream ends", async () => {
  const { client } = await serveEvents(async function* () {
    for (let i = 0; i < 1_000; i++) yield event(String(i));
  });
  const names: (string | undefined)[] = [];
  for await (const message of client.watchEvents({})) names.push(message.event?.name);
  expect(names).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)));
});

test("an error after some messages arrives after them", async () => {
  const { client } = await serveEvents(async function* () {
    yield event("first");
    throw new KedgeError("CONFLICT", "changed");
  });
  const names: (string | undefined)[] = [];
  const read = async (): Promise<void> => {
    for await (const message of client.watchEvents({})) names.push(message.event?.name);
  };
  await expect(read()).rejects.toMatchObject({ reason: "CONFLICT", message: "changed" });
  expect(names).toEqual(["first"]);
});

test("leaving the loop stops the producer", async () => {
  let closed = false;
  const { client } = await serveEvents(async function* (_request, context) {
    try {
      yield event("one");
      await aborted(context.signal);
    } finally {
      closed = true;
    }
  });
  for await (const _ of client.watchEvents({})) break;
  await eventually(() => closed, Boolean);
});

test("a slow reader holds the producer back", async () => {
  let produced = 0;
  const { client } = await serveEvents(async function* () {
    for (; produced < 2_000; produced++) yield event("big", 256 * 1024);
  });
  const stream = client.watchEvents({})[Symbol.asyncIterator]();
  await stream.next();
  let last = -1;
  await eventually(
    () => produced,
    (now) => {
      const settled = now === last;
      last = now;
      return settled;
    },
  );
  expect(produced).toBeLessThan(200);
  await stream.return?.();
});

test("a source that blocks in next() is closed when the client goes", async () => {
  let returned = false;
  const never = {
    next: () => new Promise<never>(() => {}),
    return: async () => {
      returned = true;
      return { done: true as const, value: undefined };
    },
  };
  const { client } = await serveEvents(() => ({ [Symbol.asyncIterator]: () => never }));
  const controller = new AbortController();
  const first = client.watchEvents({}, { signal: controller.signal })[Symbol.asyncIterator]().next();
  const outcome = expect(first).rejects.toMatchObject({ reason: "CANCELLED" });
  controller.abort();
  await outcome;
  await client
    .watchEvents({}, { deadlineMs: 100 })
    [Symbol.asyncIterator]()
    .next()
    .catch(() => {});
  await eventually(() => returned, Boolean);
});

test("stop ends streams with UNAVAILABLE", async () => {
  const { harness, client } = await serveEvents(async function* (_request, context) {
    yield event("one");
    await aborted(context.signal);
  });
  const stream = client.watchEvents({})[Symbol.asyncIterator]();
  await stream.next();
  const end = expect(stream.next()).rejects.toMatchObject({ reason: "CONTROLLER_UNAVAILABLE" });
  await harness.server.stop(5_000);
  await end;
});

async function* upload(parts: number, bytes: number) {
  const data = new Uint8Array(bytes);
  yield { part: { case: "header" as const, value: { model: "m" } } };
  for (let i = 0; i < parts; i++) yield { part: { case: "file" as const, value: { path: "a", data } } };
}

async function countBytes(requests: AsyncIterable<PushModelRequest>): Promise<bigint> {
  let total = 0n;
  for await (const { part } of requests) if (part.case === "file") total += BigInt(part.value.data.length);
  return total;
}

test("a client stream of 20 MB is read whole", async () => {
  const { client } = await serveModels(async (requests) => ({ newBytes: await countBytes(requests) }));
  expect(await client.pushModel(upload(40, 512 * 1024))).toMatchObject({ newBytes: 20_971_520n });
});

test("a handler may refuse in the middle; the client's source is closed", async () => {
  let closed = false;
  const { client } = await serveModels(async (requests) => {
    for await (const { part } of requests) if (part.case === "file") throw new KedgeError("TOO_LARGE", "enough");
    return {};
  });
  async function* endless() {
    try {
      yield* upload(1_000_000, 64 * 1024);
    } finally {
      closed = true;
    }
  }
  await expect(client.pushModel(endless())).rejects.toMatchObject({ reason: "TOO_LARGE", message: "enough" });
  await eventually(() => closed, Boolean);
});

test("a handler may answer without reading to the end", async () => {
  const { client } = await serveModels(async (requests) => {
    for await (const _ of requests) break;
    return { existed: true };
  });
  expect(await client.pushModel(upload(1_000, 64 * 1024))).toMatchObject({ existed: true });
});

test("a slow handler holds the client back", async () => {
  let sent = 0;
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { client } = await serveModels(async (requests) => {
    await gate;
    return { newBytes: await countBytes(requests) };
  });
  async function* counted() {
    for await (const part of upload(400, 256 * 1024)) {
      sent++;
      yield part;
    }
  }
  const call = client.pushModel(counted());
  let last = -1;
  await eventually(
    () => sent,
    (now) => {
      const settled = now > 0 && now === last;
      last = now;
      return settled;
    },
  );
  expect(sent).toBeLessThan(200);
  release();
  expect(await call).toMatchObject({ newBytes: BigInt(400 * 256 * 1024) });
});

test("the source's own error is the caller's, and the handler sees the stream end", async () => {
  let received = 0;
  let seen: unknown;
  const { client } = await serveModels(async (requests) => {
    try {
      for await (const _ of requests) received++;
    } catch (error) {
      seen = error;
    }
    return {};
  });
  async function* broken() {
    yield* upload(2, 10);
    await eventually(
      () => received,
      (count) => count === 3,
    );
    throw new Error("disk on fire");
  }
  await expect(client.pushModel(broken())).rejects.toThrow("disk on fire");
  expect(await eventually(() => seen, Boolean)).toMatchObject({ reason: "CANCELLED" });
});
