import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@kedge/kernel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAuthority } from "./authority.ts";

describe("an authority", () => {
  let dir: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "kedge-authority-"));
  });

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  it("opens again as it was, private to its owner", async () => {
    const first = await openAuthority(dir, { hosts: ["build.example"] });
    const second = await openAuthority(dir, { hosts: ["build.example"] });
    expect(second.caPem).toBe(first.caPem);
    expect(second.serverCertificate).toEqual(first.serverCertificate);
    expect(second.signer.publicKey).toBe(first.signer.publicKey);
    const files = await readdir(dir, { recursive: true, withFileTypes: true });
    for (const file of files.filter((entry) => entry.isFile())) {
      expect((await stat(join(file.parentPath, file.name))).mode & 0o777).toBe(0o600);
    }
    expect(files.some((file) => file.name.endsWith(".tmp"))).toBe(false);
  });

  it("names all hosts in the server's certificate, and makes a new one when they change or time runs out", async () => {
    const first = await openAuthority(dir, { hosts: ["build.example", "10.0.0.1", "fd00::1"] });
    const certificate = new X509Certificate(first.serverCertificate.certPem);
    expect(certificate.verify(new X509Certificate(first.caPem).publicKey)).toBe(true);
    for (const host of ["build.example", "localhost"]) expect(certificate.checkHost(host)).toBe(host);
    for (const address of ["10.0.0.1", "127.0.0.1", "fd00::1"]) expect(certificate.checkIP(address)).toBe(address);
    const hosts = ["build.example", "10.0.0.1", "fd00::1"];
    expect((await openAuthority(dir, { hosts })).serverCertificate).toEqual(first.serverCertificate);
    const moved = await openAuthority(dir, { hosts: ["other.example"] });
    expect(moved.serverCertificate.certPem).not.toBe(first.serverCertificate.certPem);
    const later = { ...systemClock, now: () => systemClock.now() + 320 * 86_400_000 };
    const renewed = await openAuthority(dir, { hosts: ["other.example"], clock: later });
    expect(renewed.serverCertificate.certPem).not.toBe(moved.serverCertificate.certPem);
    expect(renewed.caFingerprint).toBe(first.caFingerprint);
    expect(first.caFingerprint).toMatch(/^[0-9a-f]{64}$/);
  });
});
