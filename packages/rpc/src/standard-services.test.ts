import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ChannelCredentials, Client } from "@grpc/grpc-js";
import { EventService } from "@kedge/proto";
import { service as healthService } from "grpc-health-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fetchCaCertificate } from "./ca-certificate.ts";
import { bindService } from "./server-options.ts";
import { type Harness, startServer } from "./testing/harness.ts";

let harness: Harness;
let raw: Client;
beforeAll(async () => {
  const refuse = (): never => {
    throw new Error("standard services need no token");
  };
  harness = await startServer([bindService(EventService, { async *watchEvents() {} })], { authenticate: refuse });
  raw = new Client(
    `localhost:${harness.server.port}`,
    ChannelCredentials.createSsl(Buffer.from(harness.connection.caPem)),
  );
});
afterAll(async () => {
  raw.close();
  await harness.server.stop();
});

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);
const text = (field: number, value: string): number[] => {
  const bytes = [...Buffer.from(value)];
  return [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
};

/** Length-delimited fields of a message, for a client that knows no schema. */
function fields(bytes: Buffer): { readonly field: number; readonly value: Buffer }[] {
  const found: { field: number; value: Buffer }[] = [];
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = readVarint();
    if ((tag & 7) === 2) {
      const length = readVarint();
      found.push({ field: tag >> 3, value: bytes.subarray(at, at + length) });
      at += length;
    } else readVarint();
  }
  return found;
}

function reflect(version: string, request: number[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const same = (bytes: Buffer): Buffer => bytes;
    const call = raw.makeBidiStreamRequest(path, same, same);
    call.on("error", reject);
    call.once("data", (reply: Buffer) => {
      resolve(reply);
      call.end();
    });
    call.write(Buffer.from(request));
  });
}

function health(service: string): Promise<unknown> {
  const check = healthService["Check"];
  if (check === undefined) throw new Error("health service has no Check");
  return new Promise((resolve, reject) => {
    raw.makeUnaryRequest(check.path, check.requestSerialize, check.responseDeserialize, { service }, (error, reply) =>
      error === null ? resolve(reply) : reject(error),
    );
  });
}

describe("health", () => {
  test("follows setServing, for the server and for each service", async () => {
    expect(await health("")).toEqual({ status: "NOT_SERVING" });
    harness.server.setServing(true);
    expect(await health("")).toEqual({ status: "SERVING" });
    expect(await health("kedge.v1.EventService")).toEqual({ status: "SERVING" });
    await expect(health("kedge.v1.Nothing")).rejects.toMatchObject({ code: 5 });
  });
});

describe("reflection", () => {
  test.each(["v1", "v1alpha"])("%s lists the services", async (version) => {
    const reply = fields(await reflect(version, text(7, "*")));
    expect(Buffer.concat(reply.map((entry) => entry.value)).toString()).toContain("kedge.v1.EventService");
  });

  test("hands out descriptors that a registry can be built from", async () => {
    const reply = fields(await reflect("v1", text(4, "kedge.v1.EventService")));
    const response = reply.find((entry) => entry.field === 4);
    const file = fields(response?.value ?? Buffer.alloc(0)).map((e) => fromBinary(FileDescriptorProtoSchema, e.value));
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
    expect(registry.getService("kedge.v1.EventService")?.methods.map((method) => method.name)).toEqual(["WatchEvents"]);
  });
});

describe("fetchCaCertificate", () => {
  const signal = AbortSignal.timeout(30_000);

  test("answers the CA whose fingerprint is known", async () => {
    const { address, caPem } = harness.connection;
    const fingerprint = harness.certificates.caFingerprint;
    expect((await fetchCaCertificate({ address, fingerprint, signal })).trim()).toBe(caPem.trim());
    const upper = fingerprint.toUpperCase();
    expect((await fetchCaCertificate({ address, fingerprint: upper, signal })).trim()).toBe(caPem.trim());
  });

  test("refuses any other", async () => {
    const { address } = harness.connection;
    const call = fetchCaCertificate({ address, fingerprint: "00".repeat(32), signal });
    await expect(call).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  test("says when nobody listens", async () => {
    const call = fetchCaCertificate({ address: "127.0.0.1:1", fingerprint: "00".repeat(32), signal });
    await expect(call).rejects.toMatchObject({ reason: "CONTROLLER_UNAVAILABLE" });
  });
});
