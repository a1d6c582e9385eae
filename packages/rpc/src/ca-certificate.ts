import { createHash, X509Certificate } from "node:crypto";
import { connect, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import { KedgeError } from "@kedge/domain";
import { splitAddress } from "./address.ts";

/** Settings of `fetchCaCertificate`. */
export interface CaCertificateOptions {
  /** `host:port` of the controller. */
  readonly address: string;
  /** SHA-256 of the CA certificate's DER bytes, hex. */
  readonly fingerprint: string;
  readonly signal: AbortSignal;
}

/** A chain is a handful of certificates; a longer one is an attempt to keep us busy. */
const MAX_CHAIN = 8;

/**
 * Reads the CA certificate that a server sends with its chain and accepts it only if it has this fingerprint, so a join
 * token is all a node has to be given. The connection it is read from is not trusted for anything else. Answers PEM.
 *
 * @throws KedgeError UNAUTHENTICATED when no certificate of the chain matches, CONTROLLER_UNAVAILABLE when there is no
 * connection, and the signal's reason when it aborts.
 */
export async function fetchCaCertificate(options: CaCertificateOptions): Promise<string> {
  options.signal.throwIfAborted();
  const wanted = options.fingerprint.toLowerCase();
  for (const der of await readChain(options)) {
    if (createHash("sha256").update(der).digest("hex") === wanted) return new X509Certificate(der).toString();
  }
  throw new KedgeError("UNAUTHENTICATED", `${options.address} does not present the CA named by the join token`, {
    hint: "The token is for another controller, or somebody answers in its place. Make a new token and try again.",
  });
}

function readChain(options: CaCertificateOptions): Promise<Buffer[]> {
  const { host, port } = splitAddress(options.address);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    const end = (settle: () => void): void => {
      options.signal.removeEventListener("abort", onAbort);
      socket.destroy();
      settle();
    };
    const onAbort = (): void => end(() => reject(options.signal.reason));
    options.signal.addEventListener("abort", onAbort, { once: true });
    socket.once("secureConnect", () => {
      const chain = certificates(socket);
      end(() => resolve(chain));
    });
    socket.on("error", (cause) =>
      end(() => {
        const message = `cannot reach ${options.address} over TLS: ${cause.message}`;
        reject(new KedgeError("CONTROLLER_UNAVAILABLE", message, { cause, hint: "Check address and firewall." }));
      }),
    );
  });
}

function certificates(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = [];
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  const seen = new Set<DetailedPeerCertificate>();
  while (certificate?.raw !== undefined && !seen.has(certificate) && chain.length < MAX_CHAIN) {
    seen.add(certificate);
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}
