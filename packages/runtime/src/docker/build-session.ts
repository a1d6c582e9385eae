import { randomUUID } from "node:crypto";
import type { OutgoingHttpHeaders } from "node:http";
import { performServerHandshake, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { loginForHost, type RegistryLogins } from "../registry/registry-logins.ts";
import type { DockerClient } from "./connect.ts";

/** A build's way back to who asked for it; BuildKit calls gRPC methods on it. */
export interface BuildSession {
  readonly id: string;
  /** Ends it. May be called again. */
  close(): void;
}

/** What a build may ask for. */
export interface SessionOffer {
  /** By id. */
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  readonly logins: RegistryLogins;
}

const GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CREDENTIALS = "/moby.filesync.v1.Auth/Credentials";
const HEALTH = "/grpc.health.v1.Health/Check";
const GRPC_OK = 0;
const GRPC_NOT_FOUND = 5;
const GRPC_UNIMPLEMENTED = 12;
const GRPC_INTERNAL = 13;
const SERVING = 1;
/** A gRPC message is preceded by a byte for compression and four for its length. */
const PREFIX_BYTES = 5;

/**
 * Opens a session in which a build may ask for secrets by their ids and for logins by their hosts: they go over the engine's
 * socket, and into no image, no context and no argument. The protocol: github.com/moby/buildkit, session/secrets/secrets.proto
 * and session/auth/auth.proto, gRPC over HTTP/2.
 *
 * @throws what the engine's client throws; a status of 404 or 501 from an engine without sessions.
 */
export async function openBuildSession(docker: DockerClient, offer: SessionOffer): Promise<BuildSession> {
  const id = randomUUID();
  const socket = await dial(docker, {
    Upgrade: "h2c",
    "X-Docker-Expose-Session-Uuid": id,
    "X-Docker-Expose-Session-Name": "kedge",
    "X-Docker-Expose-Session-Grpc-Method": [GET_SECRET, CREDENTIALS, HEALTH],
  });
  const session = performServerHandshake(socket);
  // The build tells of a session that broke.
  session.on("error", () => {});
  session.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    void answer(stream, String(headers[":path"]), offer);
  });
  return { id, close: () => session.destroy() };
}

function dial(docker: DockerClient, headers: OutgoingHttpHeaders): Promise<Duplex> {
  const statusCodes = { 200: true, 404: "no sessions", 500: "server error" };
  return new Promise((resolve, reject) => {
    docker.modem.dial({ method: "POST", path: "/session", hijack: true, headers, statusCodes }, (error, socket) => {
      if (socket instanceof Duplex) resolve(socket);
      else reject(error ?? new Error("the engine opened no session"));
    });
  });
}

async function answer(stream: ServerHttp2Stream, path: string, offer: SessionOffer): Promise<void> {
  const request = await buffer(stream).catch(() => undefined);
  if (request === undefined || stream.destroyed) return;
  const { status, message } = call(path, request.subarray(PREFIX_BYTES), offer);
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": String(status) }));
  if (message === undefined) return void stream.end();
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([prefix, message]));
}

interface Answer {
  readonly status: number;
  readonly message?: Uint8Array;
}

function call(path: string, request: Uint8Array, offer: SessionOffer): Answer {
  try {
    switch (path) {
      case HEALTH:
        return { status: GRPC_OK, message: new BinaryWriter().uint32(tag(1, WireType.Varint)).int32(SERVING).finish() };
      case GET_SECRET:
        return getSecret(firstField(request), offer);
      case CREDENTIALS:
        return credentials(firstField(request), offer);
      default:
        return { status: GRPC_UNIMPLEMENTED };
    }
  } catch {
    return { status: GRPC_INTERNAL };
  }
}

function getSecret(id: string, { secrets }: SessionOffer): Answer {
  const value = secrets.get(id);
  if (value === undefined) return { status: GRPC_NOT_FOUND };
  return { status: GRPC_OK, message: writeFields(value) };
}

/** CredentialsResponse: Username, Secret; empty ones mean that nobody is logged in. */
function credentials(host: string, { logins }: SessionOffer): Answer {
  const { username = "", password = "" } = loginForHost(host, logins) ?? {};
  return { status: GRPC_OK, message: writeFields(Buffer.from(username), Buffer.from(password)) };
}

/** The values of the fields from 1 on. */
function writeFields(...values: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const [i, value] of values.entries()) writer.uint32(tag(i + 1, WireType.LengthDelimited)).bytes(value);
  return writer.finish();
}

/** GetSecretRequest.ID, CredentialsRequest.Host. */
function firstField(request: Uint8Array): string {
  const reader = new BinaryReader(request);
  let first = "";
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) first = reader.string();
    else reader.skip(wireType, field);
  }
  return first;
}

function tag(field: number, wireType: WireType): number {
  return (field << 3) | wireType;
}
