import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const BACKEND = "/usr/lib/git-core/git-http-backend";

/** Repositories of a folder over HTTP, by git's own program, with a store of large files beside them. */
export class GitHttpServer {
  /** What came in, with the user it came from. */
  readonly requests: string[] = [];
  readonly #objects = new Map<string, Buffer>();
  readonly #folder: string;
  readonly #login: string | undefined;
  readonly #server: Server;

  private constructor(folder: string, login: string | undefined) {
    this.#folder = folder;
    this.#login = login;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** @param login "user:password" that everything needs; undefined: anybody may read. */
  static async start(folder: string, login?: string): Promise<GitHttpServer> {
    const server = new GitHttpServer(folder, login);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Stores a large file. Returns its pointer. */
  addLargeFile(content: string): string {
    const data = Buffer.from(content);
    const oid = createHash("sha256").update(data).digest("hex");
    this.#objects.set(oid, data);
    return `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${data.length}\n`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authorization = "", "content-type": type = "" } = request.headers;
    const login = Buffer.from(authorization.replace("Basic ", ""), "base64").toString("utf8");
    this.requests.push(`${request.method} ${request.url} ${login}`);
    if (this.#login !== undefined && login !== this.#login) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const { pathname, search } = new URL(request.url ?? "/", this.url);
    if (pathname.endsWith("/objects/batch")) this.#batch(body, response);
    else if (pathname.startsWith("/lfs/")) response.end(this.#objects.get(pathname.slice(5)));
    else this.#git({ request, pathname, query: search.slice(1), type, body }, response);
  }

  #batch(body: Buffer, response: ServerResponse): void {
    const { objects }: { objects: { oid: string; size: number }[] } = JSON.parse(body.toString("utf8"));
    const answers = objects.map(({ oid, size }) => ({
      ...{ oid, size, authenticated: false },
      actions: { download: { href: `${this.url}/lfs/${oid}` } },
    }));
    response.setHeader("content-type", "application/vnd.git-lfs+json");
    response.end(JSON.stringify({ transfer: "basic", objects: answers }));
  }

  #git(
    asked: { request: IncomingMessage; pathname: string; query: string; type: string; body: Buffer },
    response: ServerResponse,
  ) {
    const { request, pathname, query, type, body } = asked;
    const { "content-encoding": encoding = "", "git-protocol": protocol = "" } = request.headers;
    const child = spawn(BACKEND, [], {
      env: {
        ...{
          GIT_PROJECT_ROOT: this.#folder,
          GIT_HTTP_EXPORT_ALL: "1",
          REQUEST_METHOD: request.method,
          PATH_INFO: pathname,
        },
        ...{
          QUERY_STRING: query,
          CONTENT_TYPE: type,
          CONTENT_LENGTH: String(body.length),
          GIT_PROTOCOL: String(protocol),
        },
        ...{ HTTP_CONTENT_ENCODING: encoding, PATH: "/usr/bin:/bin", GIT_CONFIG_COUNT: "2" },
        ...{ GIT_CONFIG_KEY_0: "safe.directory", GIT_CONFIG_VALUE_0: "*" },
        ...{ GIT_CONFIG_KEY_1: "uploadpack.allowFilter", GIT_CONFIG_VALUE_1: "true" },
      },
    });
    const out: Buffer[] = [];
    child.stdout.on("data", (data: Buffer) => out.push(data));
    child.on("close", () => {
      const all = Buffer.concat(out);
      const at = all.indexOf("\r\n\r\n");
      for (const line of all.toString("latin1", 0, at).split("\r\n")) {
        const [name = "", value = ""] = line.split(": ");
        if (name === "Status") response.statusCode = Number(value.slice(0, 3));
        else response.setHeader(name, value);
      }
      response.end(all.subarray(at + 4));
    });
    // A program that refuses a request does not read it.
    child.stdin.on("error", () => {});
    child.stdin.end(body);
  }
}
