import { setTimeout as delay } from "node:timers/promises";
import { ERROR_REASONS, type ErrorReason, KedgeError } from "@kedge/domain";
import { aborted } from "@kedge/kernel";
import { Role, TokenService } from "@kedge/proto";
import { afterEach, describe, expect, test } from "vitest";
import { createRpcClient } from "./client.ts";
import { bindService, type CallRecord, type ServiceImplementation } from "./index.ts";
import type { RpcServerOptions } from "./server-options.ts";
import { eventually } from "./testing/eventually.ts";
import { type Harness, startServer } from "./testing/harness.ts";

let cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.reverse()) await step();
  cleanUp = [];
});

const refuse = (): Promise<never> => Promise.reject(new KedgeError("INTERNAL", "not part of this test"));

async function serveTokens(
  methods: Partial<ServiceImplementation<typeof TokenService>>,
  options: Partial<RpcServerOptions> = {},
): Promise<Harness> {
  const impl = { createToken: refuse, listTokens: refuse, revokeToken: refuse, whoAmI: refuse, ...methods };
  const harness = await startServer([bindService(TokenService, impl)], options);
  cleanUp.push(() => harness.server.stop(100));
  return harness;
}

function tokens(harness: Harness, options: object = {}) {
  const client = createRpcClient(TokenService, { ...harness.connection, ...options });
  cleanUp.push(async () => client.close());
  return client;
}

const whoAmI: ServiceImplementation<typeof TokenService>["whoAmI"] = async (_request, context) => ({
  name: context.principal.name,
  role: context.principal.role,
});

describe("authentication", () => {
  test("the handler sees who calls", async () => {
    const harness = await serveTokens({ whoAmI });
    expect(await tokens(harness).whoAmI({})).toMatchObject({ name: "tester", role: Role.ADMIN });
  });

  test("a refused token reaches the client with its reason and hint", async () => {
    const authenticate = (): never => {
      throw new KedgeError("UNAUTHENTICATED", "unknown token", { hint: "make one" });
    };
    const harness = await serveTokens({ whoAmI }, { authenticate });
    await expect(tokens(harness).whoAmI({})).rejects.toMatchObject({ reason: "UNAUTHENTICATED", hint: "make one" });
  });

  test("a header that is not one bearer token is no token", async () => {
    const seen: (string | undefined)[] = [];
    const authenticate = (token: string | undefined) => {
      seen.push(token);
      return { name: "x", role: Role.VIEWER };
    };
    const harness = await serveTokens({ whoAmI }, { authenticate });
    const client = tokens(harness);
    for (const authorization of ["Basic abc", "Bearer", "Bearer ", "bearer ok", ""]) {
      await client.whoAmI({}, { metadata: { authorization } });
    }
    expect(seen).toEqual([undefined, undefined, undefined, "ok", undefined]);
  });

  test("hostile headers neither break the server nor reach the handler as something else", async () => {
    const harness = await serveTokens({
      whoAmI: async (_r, context) => ({ name: context.metadata("x-note") ?? "none" }),
    });
    const client = tokens(harness);
    expect(await client.whoAmI({}, { metadata: { "x-note": "a".repeat(8_000) } })).toMatchObject({
      name: "a".repeat(8_000),
    });
    await expect(client.whoAmI({}, { metadata: { "x-note": "a".repeat(200_000) } })).rejects.toBeInstanceOf(KedgeError);
    await expect(client.whoAmI({}, { metadata: { "bad header\n": "x" } })).rejects.toBeInstanceOf(Error);
    expect(await client.whoAmI({}, { metadata: { constructor: "x", __proto__: "y" } })).toMatchObject({ name: "none" });
  });

  test("a wrong CA is refused", async () => {
    const harness = await serveTokens({ whoAmI });
    const other = await serveTokens({ whoAmI });
    const client = tokens(harness, { caPem: other.certificates.caPem });
    await expect(client.whoAmI({})).rejects.toMatchObject({ reason: "CONTROLLER_UNAVAILABLE" });
  });

  test("a server name is checked when one is expected", async () => {
    const harness = await serveTokens({ whoAmI });
    expect(await tokens(harness, { serverName: "controller.test" }).whoAmI({})).toMatchObject({ name: "tester" });
    for (const serverName of ["elsewhere.test", "127.0.0.9"]) {
      const wrong = tokens(harness, { serverName });
      await expect(wrong.whoAmI({})).rejects.toMatchObject({ reason: "CONTROLLER_UNAVAILABLE" });
    }
  });
});

describe("errors", () => {
  test("every reason of the catalogue arrives as it was thrown", async () => {
    const reasons = Object.keys(ERROR_REASONS) as ErrorReason[];
    let next: KedgeError | undefined;
    const harness = await serveTokens({ whoAmI: () => Promise.reject(next) });
    const client = tokens(harness);
    for (const reason of reasons) {
      next = new KedgeError(reason, `“${reason}” %0a`, { field: "a.b", hint: "do so", details: { k: "v" } });
      const error = await client.whoAmI({}).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(KedgeError);
      expect(error).toMatchObject({ reason, message: next.message, field: "a.b", hint: "do so", details: { k: "v" } });
    }
  });

  test("what is not a KedgeError is opaque to the client and logged once", async () => {
    const logged: unknown[] = [];
    const logger = { debug() {}, info() {}, warn() {}, error: (f: object) => void logged.push(f), child: () => logger };
    const secret = new Error("password is hunter2");
    const harness = await serveTokens({ whoAmI: () => Promise.reject(secret) }, { logger });
    const error = await tokens(harness)
      .whoAmI({})
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ reason: "INTERNAL" });
    expect(String(error)).not.toContain("hunter2");
    expect(logged).toEqual([{ err: secret, service: "kedge.v1.TokenService", method: "whoAmI" }]);
  });

  test("a huge or malformed error text is cut, not fatal", async () => {
    const hugeError = new KedgeError("INVALID_FIELD", `\ud800${"é".repeat(100_000)}`, { hint: "h".repeat(9_000) });
    const harness = await serveTokens({ whoAmI: () => Promise.reject(hugeError) });
    const error = await tokens(harness)
      .whoAmI({})
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ reason: "INVALID_FIELD" });
    expect(error instanceof KedgeError && error.message.length).toBe(4_096);
  });

  test("nobody listening", async () => {
    const harness = await serveTokens({ whoAmI });
    await harness.server.stop();
    const client = tokens(harness);
    await expect(client.whoAmI({})).rejects.toMatchObject({
      reason: "CONTROLLER_UNAVAILABLE",
      retryable: true,
      hint: expect.stringContaining(harness.connection.address),
    });
    const waiting = tokens(harness, { waitForReadyMs: 50 });
    await expect(waiting.whoAmI({})).rejects.toMatchObject({ reason: "CONTROLLER_UNAVAILABLE" });
  });

  test("a request over the size limit is refused", async () => {
    const harness = await serveTokens({ createToken: async () => ({}) });
    const name = "x".repeat(5 * 1024 * 1024);
    await expect(tokens(harness).createToken({ name })).rejects.toMatchObject({ reason: "TOO_LARGE" });
    const careless = tokens(harness, { maxMessageBytes: 64 * 1024 * 1024 });
    await expect(careless.createToken({ name })).rejects.toMatchObject({ reason: "TOO_LARGE" });
  });

  test("a reply over the size limit is an error, not a hang", async () => {
    const harness = await serveTokens({ whoAmI: async () => ({ name: "x".repeat(5 * 1024 * 1024) }) });
    await expect(tokens(harness).whoAmI({})).rejects.toMatchObject({ reason: "TOO_LARGE" });
  });
});

describe("ends", () => {
  test("the client's deadline aborts the handler", async () => {
    let reason: unknown;
    const harness = await serveTokens({
      whoAmI: async (_request, context) => {
        await aborted(context.signal);
        reason = context.signal.reason;
        return {};
      },
    });
    await expect(tokens(harness).whoAmI({}, { deadlineMs: 50 })).rejects.toMatchObject({ reason: "TIMEOUT" });
    expect(
      await eventually(
        () => reason,
        (value) => value !== undefined,
      ),
    ).toBeInstanceOf(KedgeError);
  });

  test("a unary call without deadline gets the server's", async () => {
    const harness = await serveTokens(
      { whoAmI: async (_request, context) => aborted(context.signal).then(() => ({})) },
      { defaultDeadlineMs: 50 },
    );
    const client = tokens(harness, { defaultDeadlineMs: 0 });
    await expect(client.whoAmI({})).rejects.toMatchObject({ reason: "TIMEOUT" });
  });

  test("the client's signal cancels the call on both sides", async () => {
    const controller = new AbortController();
    let seen: AbortSignal | undefined;
    const harness = await serveTokens({
      whoAmI: async (_request, context) => {
        seen = context.signal;
        await aborted(context.signal);
        return {};
      },
    });
    const call = tokens(harness).whoAmI({}, { signal: controller.signal });
    const outcome = expect(call).rejects.toMatchObject({ reason: "CANCELLED" });
    await eventually(
      () => seen,
      (signal) => signal !== undefined,
    );
    controller.abort();
    await outcome;
    await eventually(
      () => seen?.aborted,
      (value) => value === true,
    );
    await expect(tokens(harness).whoAmI({}, { signal: controller.signal })).rejects.toMatchObject({
      reason: "CANCELLED",
    });
  });

  test("a call that ended well does not abort its signal, and is recorded once", async () => {
    const records: CallRecord[] = [];
    let seen: AbortSignal | undefined;
    const harness = await serveTokens(
      {
        whoAmI: async (_request, context) => {
          seen = context.signal;
          return {};
        },
      },
      { onCall: (record) => void records.push(record) },
    );
    await tokens(harness).whoAmI({});
    await delay(20);
    expect(seen?.aborted).toBe(false);
    expect(records).toEqual([{ service: "kedge.v1.TokenService", method: "whoAmI", code: 0, ms: expect.any(Number) }]);
  });

  test("stop lets a unary call finish", async () => {
    const release = new AbortController();
    let started = false;
    const harness = await serveTokens({
      whoAmI: async () => {
        started = true;
        await aborted(release.signal);
        return { name: "done" };
      },
    });
    const call = tokens(harness).whoAmI({});
    await eventually(() => started, Boolean);
    const stopped = harness.server.stop(10_000);
    release.abort();
    expect(await call).toMatchObject({ name: "done" });
    await stopped;
  });
});
