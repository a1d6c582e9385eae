import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A CA and a certificate for 127.0.0.1 signed by it, made with the openssl program. */
export interface TestCertificates {
  readonly caPem: string;
  /** SHA-256 of the CA's DER bytes, hex. */
  readonly caFingerprint: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** Makes a fresh CA and server certificate. Leaves no file behind. */
export function makeCertificates(): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), "kedge-rpc-"));
  const file = (name: string): string => join(folder, name);
  const read = (name: string): string => readFileSync(file(name), "utf8");
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  try {
    openssl("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca");
    openssl("req", ...newKey, "-keyout", "key.pem", "-out", "server.csr", "-subj", "/CN=server");
    writeFileSync(file("ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:controller.test\n");
    const signedBy = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"];
    openssl("x509", "-req", "-in", "server.csr", ...signedBy, "-out", "cert.pem", "-days", "2");
    const caPem = read("ca.pem");
    const caFingerprint = createHash("sha256").update(new X509Certificate(caPem).raw).digest("hex");
    return { caPem, caFingerprint, certPem: read("cert.pem"), keyPem: read("key.pem") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
