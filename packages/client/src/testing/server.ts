import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@kedge/kernel";
import { Role } from "@kedge/proto";
import { type BoundService, createRpcServer, type RpcServer } from "@kedge/rpc";

/** A self-signed identity for 127.0.0.1, made with the openssl program. */
export function makeIdentity(): { readonly certPem: string; readonly keyPem: string } {
  const folder = mkdtempSync(join(tmpdir(), "kedge-client-"));
  const subject = ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"];
  try {
    execFileSync("openssl", ["req", "-x509", ...key, "-out", "cert.pem", ...subject], { cwd: folder, stdio: "pipe" });
    const read = (name: string): string => readFileSync(join(folder, name), "utf8");
    return { certPem: read("cert.pem"), keyPem: read("key.pem") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Serves on a port (0: a free one); every token is an admin's. */
export async function serve(
  tls: { readonly certPem: string; readonly keyPem: string },
  services: readonly BoundService[],
  port = 0,
): Promise<RpcServer> {
  const server = createRpcServer({
    address: `127.0.0.1:${port}`,
    tls,
    services,
    authenticate: () => ({ name: "tester", role: Role.ADMIN }),
    logger: silentLogger,
    clock: systemClock,
  });
  await server.start(new AbortController().signal);
  return server;
}
