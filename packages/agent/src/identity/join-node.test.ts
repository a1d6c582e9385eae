import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuthority } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { type EnrollRequest, NodeService, Role } from "@kedge/proto";
import { createRpcServer } from "@kedge/rpc";
import { fromPublic } from "@nats-io/nkeys";
import { afterEach, beforeEach, expect, it } from "vitest";
import { joinNode } from "./join-node.ts";
import { loadIdentity } from "./node-identity.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kedge-join-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it("trusts only the CA of its token, and proves its key without sending it", async () => {
  const authority = await openAuthority(join(dir, "authority"), { hosts: [] });
  const requests: EnrollRequest[] = [];
  const enroll = (request: EnrollRequest) => {
    requests.push(request);
    const { nodeId, labels } = request;
    const natsServers = ["127.0.0.1:1"];
    const controllerKey = authority.signer.publicKey;
    return Promise.resolve({ nodeId, labels, natsJwt: "jwt", natsServers, caPem: authority.caPem, controllerKey });
  };
  const refuse = () => Promise.reject(new Error("not part of this test"));
  const methods = NodeService.methods.map(({ localName }) => [localName, localName === "enroll" ? enroll : refuse]);
  const server = createRpcServer({
    address: "127.0.0.1:0",
    tls: { ...authority.serverCertificate, caPem: authority.caPem },
    services: [{ desc: NodeService, impl: Object.fromEntries(methods) }],
    authenticate: () => ({ name: "joining", role: Role.VIEWER }),
    logger: silentLogger,
    clock: systemClock,
  });
  await server.start(new AbortController().signal);
  try {
    const address = `127.0.0.1:${server.port}`;
    const token = (caFingerprint: string): string => {
      const body = JSON.stringify({ id: "t1", secret: "s1", address, caFingerprint });
      return `kedge-join.${Buffer.from(body).toString("base64url")}`;
    };
    const dataDir = join(dir, "data");
    const options = { nodeId: "edge-1", dataDir, labels: { zone: "a" } };
    await expect(joinNode({ ...options, token: token("0".repeat(64)) })).rejects.toMatchObject({
      reason: "UNAUTHENTICATED",
    });
    expect(requests).toEqual([]);
    const identity = await joinNode({ ...options, token: token(authority.caFingerprint) });
    expect(identity).toMatchObject({ nodeId: "edge-1", natsJwt: "jwt", labels: { zone: "a" } });
    expect(await loadIdentity(dataDir)).toEqual(identity);
    const [request] = requests;
    const proven = fromPublic(identity.publicKey).verify(
      Buffer.from("kedge-enroll:t1:edge-1"),
      request?.proof ?? new Uint8Array(),
    );
    expect([proven, request?.tokenSecret, request?.publicKey]).toEqual([true, "s1", identity.publicKey]);
    expect((await readdir(dataDir)).sort()).toEqual(["identity.json", "node.nk"]);
    for (const name of ["identity.json", "node.nk"]) {
      expect((await stat(join(dataDir, name))).mode & 0o777).toBe(0o600);
    }
  } finally {
    await server.stop(0);
  }
});
