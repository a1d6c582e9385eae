import { DOCKER_HUB, errorMessage, type ImagePlace, KedgeError } from "@kedge/domain";
import { z } from "zod";
import { loginHint, type RegistryLogin } from "./registry-logins.ts";

/** A registry, and how to speak to it. */
export interface RegistryAccess {
  /** The engine speaks to it without TLS if it has none. */
  readonly insecure: boolean;
  readonly login?: RegistryLogin;
  readonly signal: AbortSignal;
}

/** What a registry is asked. */
interface Call {
  readonly method: "GET" | "PUT";
  /** Below /v2/<repository>/. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** An answer with a status of 200 to 299. */
export interface RegistryAnswer {
  readonly headers: Headers;
  readonly body: Buffer;
}

const TIMEOUT_MS = 60_000;
/** Manifests are small: registries refuse larger ones. */
const MAX_BYTES = 4 * 1024 * 1024;
const tokenSchema = z.object({ token: z.string().optional(), access_token: z.string().optional() });
const errorsSchema = z.object({ errors: z.array(z.object({ code: z.string(), message: z.string().optional() })) });

/**
 * Asks a registry for or about one repository, by the OCI distribution specification 1.1; it logs in as the registry wants it
 * (Basic, or a Bearer token of the server that the registry names).
 */
export class RegistryClient {
  readonly #place: ImagePlace;
  readonly #access: RegistryAccess;
  #scheme: "https" | "http" = "https";
  #authorization: string | undefined;

  constructor(place: ImagePlace, access: RegistryAccess) {
    this.#place = place;
    this.#access = access;
  }

  /** @throws KedgeError IMAGE_UNAVAILABLE for whatever the registry or the way to it has against that. */
  async call(call: Call): Promise<RegistryAnswer> {
    try {
      let response = await this.#send(call);
      if (response.status === 401) {
        this.#authorization = await this.#logIn(response);
        response = await this.#send(call);
      }
      const body = await bodyOf(response);
      if (!response.ok) throw new Error(`it answers ${response.status}${reasonOf(body)}`);
      return { headers: response.headers, body };
    } catch (error) {
      this.#access.signal.throwIfAborted();
      const { registry, repository } = this.#place;
      const words = errorMessage(error);
      throw new KedgeError("IMAGE_UNAVAILABLE", `registry ${registry}: ${words}`, {
        cause: error,
        ...loginHint(`${registry}/${repository}`, words),
      });
    }
  }

  async #send({ method, path, headers = {}, body }: Call): Promise<Response> {
    const { registry, repository } = this.#place;
    const host = registry === DOCKER_HUB ? "registry-1.docker.io" : registry;
    const authorization = this.#authorization === undefined ? {} : { authorization: this.#authorization };
    const init = { method, headers: { ...headers, ...authorization }, ...(body === undefined ? {} : { body }) };
    const url = `//${host}/v2/${repository}/${path}`;
    if (this.#scheme === "http") return this.#fetch(`http:${url}`, init);
    try {
      return await this.#fetch(`https:${url}`, init);
    } catch (error) {
      if (!this.#access.insecure || this.#access.signal.aborted) throw error;
      this.#scheme = "http";
      return this.#fetch(`http:${url}`, init);
    }
  }

  /** The header that satisfies a registry's challenge. A password goes nowhere but to where the registry sends it. */
  async #logIn(response: Response): Promise<string> {
    await response.body?.cancel();
    const { login } = this.#access;
    const challenge = response.headers.get("www-authenticate") ?? "";
    const basic =
      login === undefined
        ? undefined
        : `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`;
    if (/^basic\b/i.test(challenge)) {
      if (basic === undefined) throw new Error("it wants a login");
      return basic;
    }
    if (!/^bearer\b/i.test(challenge))
      throw new Error(`it wants a login of an unknown kind: ${challenge.slice(0, 100)}`);
    const field = (name: string): string => new RegExp(`\\b${name}="([^"]*)"`, "i").exec(challenge)?.[1] ?? "";
    const url = new URL(field("realm"));
    if (url.protocol !== "https:" && !(url.protocol === "http:" && this.#scheme === "http")) {
      throw new Error(`it sends logins to ${url.origin}, which is not secure`);
    }
    if (field("service") !== "") url.searchParams.set("service", field("service"));
    url.searchParams.set("scope", `repository:${this.#place.repository}:pull,push`);
    const answer = await this.#fetch(url.href, basic === undefined ? {} : { headers: { authorization: basic } });
    const body = await bodyOf(answer);
    if (!answer.ok) throw new Error(`${url.origin} gives no token: it answers ${answer.status}${reasonOf(body)}`);
    const { token, access_token: accessToken } = tokenSchema.parse(JSON.parse(body.toString("utf8")));
    return `Bearer ${token ?? accessToken ?? ""}`;
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const signal = AbortSignal.any([this.#access.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    try {
      return await fetch(url, { ...init, signal, redirect: "error" });
    } catch (error) {
      // Undici's own message is "fetch failed".
      throw error instanceof Error && error.cause instanceof Error ? error.cause : error;
    }
  }
}

async function bodyOf(response: Response): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`an answer of more than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** The registry's own words for an error, as far as it has any. */
function reasonOf(body: Buffer): string {
  try {
    const [first] = errorsSchema.parse(JSON.parse(body.toString("utf8"))).errors;
    return first === undefined ? "" : ` (${first.message ?? first.code})`;
  } catch {
    return "";
  }
}
