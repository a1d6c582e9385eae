import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, createSign, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { RegistryLogin } from "../registry/registry-logins.ts";

const ISSUER = "kedge-test-tokens";
const SERVICE = "kedge-test-registry";

/** Gives out a registry's tokens as those of Docker Hub, GitHub and GitLab do: for a login, for one repository. */
export class TokenServer {
  readonly #server: Server;
  readonly #certificate: string;
  readonly #key: string;
  readonly #login: RegistryLogin;

  private constructor(folder: string, login: RegistryLogin) {
    this.#certificate = join(folder, "tokens.pem");
    this.#key = join(folder, "tokens.key");
    this.#login = login;
    const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days", "1"];
    const files = ["-keyout", this.#key, "-out", this.#certificate];
    execFileSync("openssl", [...request, ...files], { stdio: "ignore" });
    this.#server = createServer((incoming, response) => this.#answer(incoming, response));
  }

  static async start(folder: string, login: RegistryLogin): Promise<TokenServer> {
    const server = new TokenServer(folder, login);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  /** What a registry is configured with. */
  get settings() {
    const realm = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/token`;
    return { realm, service: SERVICE, issuer: ISSUER, rootcertbundle: this.#certificate };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #answer({ url = "/", headers }: IncomingMessage, response: ServerResponse): void {
    const given = Buffer.from((headers.authorization ?? "").replace(/^Basic /, ""), "base64").toString("utf8");
    const { searchParams } = new URL(url, "http://tokens");
    const isIn = given === `${this.#login.username}:${this.#login.password}`;
    if (searchParams.get("service") !== SERVICE || !isIn) {
      response.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}');
      return;
    }
    const token = this.#token(searchParams.getAll("scope"));
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ token }));
  }

  #token(scopes: readonly string[]): string {
    const access = scopes.map((scope) => {
      const [type = "", ...rest] = scope.split(":");
      return { type, name: rest.slice(0, -1).join(":"), actions: rest.at(-1)?.split(",") ?? [] };
    });
    const now = Math.floor(Date.now() / 1000);
    const header = { typ: "JWT", alg: "RS256", kid: this.#keyId() };
    const times = { iat: now, nbf: now - 10, exp: now + 300, jti: randomUUID() };
    const claims = { iss: ISSUER, aud: SERVICE, sub: this.#login.username, access, ...times };
    const signed = [header, claims].map((it) => Buffer.from(JSON.stringify(it)).toString("base64url")).join(".");
    const signature = createSign("RSA-SHA256").update(signed).sign(readFileSync(this.#key, "utf8"), "base64url");
    return `${signed}.${signature}`;
  }

  /** By libtrust: base32 of the public key's hash, in groups of four. */
  #keyId(): string {
    const der = createPublicKey(readFileSync(this.#certificate)).export({ type: "spki", format: "der" });
    const bits = [...createHash("sha256").update(der).digest().subarray(0, 30)]
      .map((byte) => byte.toString(2).padStart(8, "0"))
      .join("");
    const letters = bits.match(/.{5}/g)?.map((five) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(five, 2)]);
    return (letters?.join("").match(/.{4}/g) ?? []).join(":");
  }
}
