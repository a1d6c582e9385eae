import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@kedge/kernel";
import type { RegistryLogin } from "../registry/registry-logins.ts";
import { TokenServer } from "./token-server.ts";

/** Whom a registry lets in. */
export type RegistryGuard = "nobody asked" | "basic" | "token";

/** Who may enter. */
export const LOGIN: RegistryLogin = { username: "ci", password: "letmein" };
/** The same password as the registry wants it, by `htpasswd -B`. */
const HTPASSWD = "ci:$2b$04$6ehXlK0efOlV2YWfeUvcgON0pwHNWmqvjBkFEEtugpQvBXadmKwo6\n";
const START_MS = 20_000;

/** A registry of container images (Distribution, as Debian has it) on a port of its own. */
export class RegistryServer {
  /** E.g. "127.0.0.1:40001". */
  readonly host: string;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #tokens: TokenServer | undefined;

  private constructor(host: string, folder: string, parts: { process: ChildProcess; tokens: TokenServer | undefined }) {
    this.host = host;
    this.#folder = folder;
    this.#process = parts.process;
    this.#tokens = parts.tokens;
  }

  static async start(guard: RegistryGuard): Promise<RegistryServer> {
    const folder = await mkdtemp(join(tmpdir(), "kedge-registry-"));
    const host = `127.0.0.1:${await freePort()}`;
    const tokens = guard === "token" ? await TokenServer.start(folder, LOGIN) : undefined;
    await writeFile(join(folder, "htpasswd"), HTPASSWD);
    const auth = {
      "nobody asked": {},
      basic: { auth: { htpasswd: { realm: "kedge", path: join(folder, "htpasswd") } } },
      token: { auth: { token: tokens?.settings } },
    };
    const storage = { filesystem: { rootdirectory: join(folder, "images") } };
    // JSON is YAML.
    const config = { version: 0.1, log: { level: "error" }, storage, http: { addr: host }, ...auth[guard] };
    await writeFile(join(folder, "config.yml"), JSON.stringify(config));
    const process = spawn("docker-registry", ["serve", join(folder, "config.yml")], { stdio: "ignore" });
    const server = new RegistryServer(host, folder, { process, tokens });
    await server.#answers();
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      this.#process.kill("SIGKILL");
      await once(this.#process, "exit");
    }
    await this.#tokens?.[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    for (const end = Date.now() + START_MS; Date.now() < end; ) {
      if (this.#process.exitCode !== null) throw new Error(`docker-registry ended with ${this.#process.exitCode}`);
      const response = await fetch(`http://${this.host}/v2/`).catch(() => undefined);
      await response?.body?.cancel();
      if (response !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("docker-registry does not answer");
  }
}
