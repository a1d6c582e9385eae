// Unary round trips through @kedge/rpc and through bare grpc-js, same message, same TLS, interleaved in one run.
// Run: node -C kedge-source bench/unary.mjs [calls]
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { silentLogger, systemClock } from "@kedge/kernel";
import { Role, TokenService, WhoAmIRequestSchema, WhoAmIResponseSchema } from "@kedge/proto";
import { bindService, createRpcClient, createRpcServer } from "@kedge/rpc";
import { makeCertificates } from "../src/testing/certificates.ts";

const view = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const bareMethod = {
  path: "/kedge.v1.TokenService/WhoAmI",
  requestStream: false,
  responseStream: false,
  requestSerialize: (message) => view(toBinary(WhoAmIRequestSchema, message)),
  requestDeserialize: (bytes) => fromBinary(WhoAmIRequestSchema, bytes),
  responseSerialize: (message) => view(toBinary(WhoAmIResponseSchema, message)),
  responseDeserialize: (bytes) => fromBinary(WhoAmIResponseSchema, bytes),
};
const answer = { name: "bench", role: Role.ADMIN, controllerVersion: "1" };

async function serve({ certPem, keyPem }) {
  const whoAmI = async () => answer;
  const refuse = () => Promise.reject(new Error("not benched"));
  const impl = { whoAmI, createToken: refuse, listTokens: refuse, revokeToken: refuse };
  const ours = createRpcServer({
    address: "127.0.0.1:0",
    tls: { certPem, keyPem },
    services: [bindService(TokenService, impl)],
    authenticate: () => ({ name: "bench", role: Role.ADMIN }),
    logger: silentLogger,
    clock: systemClock,
  });
  await ours.start(new AbortController().signal);
  const bare = new grpc.Server();
  bare.addService(
    { whoAmI: bareMethod },
    { whoAmI: (_call, respond) => respond(null, create(WhoAmIResponseSchema, answer)) },
  );
  const pair = { cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) };
  const barePort = await new Promise((resolve, reject) =>
    bare.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createSsl(null, [pair]), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  parentPort.postMessage({ oursPort: ours.port, barePort });
}

async function measure(call, calls, concurrency) {
  let left = calls;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (left-- > 0) if ((await call()).name !== "bench") throw new Error("wrong answer");
    }),
  );
  return calls / ((performance.now() - started) / 1000);
}

async function main() {
  const calls = Number(process.argv[2] ?? 4000);
  const certificates = makeCertificates();
  const worker = new Worker(new URL(import.meta.url), { workerData: certificates });
  const [{ oursPort, barePort }] = await once(worker, "message");
  const ours = createRpcClient(TokenService, {
    address: `127.0.0.1:${oursPort}`,
    caPem: certificates.caPem,
    token: "t",
  });
  const bare = new grpc.Client(`localhost:${barePort}`, grpc.credentials.createSsl(Buffer.from(certificates.caPem)));
  const metadata = new grpc.Metadata();
  metadata.set("authorization", "Bearer t");
  const bareCall = () =>
    new Promise((resolve, reject) =>
      bare.makeUnaryRequest(
        bareMethod.path,
        bareMethod.requestSerialize,
        bareMethod.responseDeserialize,
        create(WhoAmIRequestSchema),
        metadata,
        { deadline: Date.now() + 30_000 },
        (error, reply) => (error ? reject(error) : resolve(reply)),
      ),
    );
  const contenders = { ours: () => ours.whoAmI({}), bare: bareCall };
  for (const concurrency of [1, 50]) {
    const rates = { ours: [], bare: [] };
    for (const name of ["ours", "bare"]) await measure(contenders[name], calls / 4, concurrency);
    for (let round = 0; round < 5; round++) {
      for (const name of ["ours", "bare"]) rates[name].push(await measure(contenders[name], calls, concurrency));
    }
    const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
    const [o, b] = [median(rates.ours), median(rates.bare)];
    console.log(
      `c=${concurrency}: ours ${o.toFixed(0)} calls/s, bare grpc-js ${b.toFixed(0)}, ratio ${(o / b).toFixed(2)}`,
    );
  }
  ours.close();
  bare.close();
  await worker.terminate();
}

await (isMainThread ? main() : serve(workerData));
