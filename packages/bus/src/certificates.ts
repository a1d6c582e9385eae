import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  X509Certificate,
} from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { KedgeError } from "@kedge/domain";
import { secureBytes } from "@kedge/kernel";
import { der } from "./der.ts";

/** A certificate with its private key (PKCS #8), both PEM. */
export interface KeyedCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

const DAY_MS = 86_400_000;
const CA_LIFETIME_MS = 20 * 365 * DAY_MS;
const SERVER_LIFETIME_MS = 365 * DAY_MS;
/** A server certificate is replaced when it has less than this left. */
const RENEW_BEFORE_MS = 60 * DAY_MS;
/** Clocks of machines may differ by this much. */
const BACKDATE_MS = 3_600_000;

const ECDSA_WITH_SHA256 = der.sequence(der.oid("1.2.840.10045.4.3.2"));
const OID = {
  commonName: "2.5.4.3",
  subjectKeyId: "2.5.29.14",
  authorityKeyId: "2.5.29.35",
  keyUsage: "2.5.29.15",
  altName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;
const CA_NAME = "Kedge CA";

/** Makes the certificate authority of one installation: self-signed, ECDSA P-256, for leaf certificates only. */
export function issueCa(nowMs: number): KeyedCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const extensions = [
    extension(OID.basicConstraints, der.sequence(der.boolean(true), der.integer(Buffer.of(0))), true),
    // keyCertSign and cRLSign
    extension(OID.keyUsage, der.bits(Buffer.of(0b0000_0110), 1), true),
    extension(OID.subjectKeyId, der.octets(keyId(publicKey))),
  ];
  const lifetimeMs = CA_LIFETIME_MS;
  return issue({ subject: CA_NAME, publicKey, privateKey, signingKey: privateKey, nowMs, lifetimeMs, extensions });
}

/** Makes a certificate for a server that is reached under the given host names and addresses. */
export function issueServerCertificate(
  ca: KeyedCertificate,
  hosts: readonly string[],
  nowMs: number,
): KeyedCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signingKey = createPrivateKey(ca.keyPem);
  const extensions = [
    extension(OID.basicConstraints, der.sequence(), true),
    // digitalSignature
    extension(OID.keyUsage, der.bits(Buffer.of(0b1000_0000), 7), true),
    extension(OID.extendedKeyUsage, der.sequence(der.oid(OID.serverAuth))),
    extension(OID.altName, der.sequence(...hosts.map(generalName))),
    extension(OID.subjectKeyId, der.octets(keyId(publicKey))),
    extension(OID.authorityKeyId, der.sequence(der.tagged(0, false, keyId(createPublicKey(signingKey))))),
  ];
  const lifetimeMs = SERVER_LIFETIME_MS;
  return issue({ subject: "kedge", publicKey, privateKey, signingKey, nowMs, lifetimeMs, extensions });
}

/** Tells whether a server certificate is the CA's, names exactly these hosts and will last a while. */
export function isCertificateCurrent(certPem: string, caPem: string, hosts: readonly string[], nowMs: number): boolean {
  const certificate = new X509Certificate(certPem);
  if (Date.parse(certificate.validTo) - nowMs < RENEW_BEFORE_MS) return false;
  if (!certificate.verify(new X509Certificate(caPem).publicKey)) return false;
  const names = certificate.subjectAltName?.split(", ") ?? [];
  return names.length === hosts.length && hosts.every((host) => names.includes(printedName(host)));
}

/** SHA-256 of a certificate's DER form, lower-case hex. */
export function certificateFingerprint(certPem: string): string {
  return createHash("sha256").update(new X509Certificate(certPem).raw).digest("hex");
}

interface CertificateRequest {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly nowMs: number;
  readonly lifetimeMs: number;
  readonly extensions: readonly Uint8Array[];
}

/** RFC 5280, section 4.1. */
function issue(request: CertificateRequest): KeyedCertificate {
  const body = der.sequence(
    der.tagged(0, true, der.integer(Buffer.of(2))),
    der.integer(serialNumber()),
    ECDSA_WITH_SHA256,
    distinguishedName(CA_NAME),
    der.sequence(der.time(request.nowMs - BACKDATE_MS), der.time(request.nowMs + request.lifetimeMs)),
    distinguishedName(request.subject),
    request.publicKey.export({ format: "der", type: "spki" }),
    der.tagged(3, true, der.sequence(...request.extensions)),
  );
  const signature = sign("sha256", body, request.signingKey);
  const certificate = new X509Certificate(Buffer.from(der.sequence(body, ECDSA_WITH_SHA256, der.bits(signature))));
  const keyPem = request.privateKey.export({ format: "pem", type: "pkcs8" });
  return { certPem: certificate.toString(), keyPem: keyPem.toString() };
}

function distinguishedName(commonName: string): Uint8Array {
  return der.sequence(der.set(der.sequence(der.oid(OID.commonName), der.utf8(commonName))));
}

function extension(oid: string, content: Uint8Array, critical = false): Uint8Array {
  return der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octets(content));
}

function keyId(publicKey: KeyObject): Uint8Array {
  return createHash("sha1")
    .update(publicKey.export({ format: "der", type: "spki" }))
    .digest();
}

function generalName(host: string): Uint8Array {
  if (isIPv4(host)) return der.tagged(7, false, Buffer.from(host.split(".").map(Number)));
  if (isIPv6(host)) return der.tagged(7, false, ipv6Bytes(host));
  if (/^[A-Za-z0-9*.-]{1,253}$/.test(host)) return der.tagged(2, false, Buffer.from(host));
  throw new KedgeError("INVALID_OPTION", `${JSON.stringify(host)} is not a host name or address`, { field: "hosts" });
}

/** How Node prints an entry of a certificate's alternative names. */
function printedName(host: string): string {
  if (isIPv4(host)) return `IP Address:${host}`;
  if (!isIPv6(host)) return `DNS:${host}`;
  const groups = ipv6Bytes(host).toString("hex").match(/.{4}/g) ?? [];
  return `IP Address:${groups.map((group) => group.replace(/^0{1,3}/, "").toUpperCase()).join(":")}`;
}

function ipv6Bytes(address: string): Buffer {
  // The URL parser writes every IPv6 address in one form, dotted quads included.
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** 126 random bits: positive, and unique without a register. */
function serialNumber(): Uint8Array {
  const bytes = secureBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}
