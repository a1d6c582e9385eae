import { createHmac } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Forge, type Repository, RepositorySchema, RepositoryService, SecretService } from "@kedge/proto";
import { type ReceiverServer, startReceiver } from "../../alerts/testing/receiver-server.ts";
import type { ControllerHarness } from "../../testing/controller-harness.ts";
import { GitRepository } from "./git-repository.ts";

/** Settings of a repository. */
export type RepositoryInit = Exclude<MessageInitShape<typeof RepositorySchema>, { readonly $typeName: string }>;

const ZERO = "0".repeat(40);

/** What a webhook is sent with. */
export interface HookOptions {
  readonly event?: string;
  readonly secret?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

/** Stands for GitHub beside a real controller: a real repository, webhooks over HTTP, and a server that takes statuses. */
export class TestForge {
  readonly origin: GitRepository;
  readonly api: ReceiverServer;
  readonly #harness: ControllerHarness;
  #deliveries = 0;

  private constructor(harness: ControllerHarness, origin: GitRepository, api: ReceiverServer) {
    this.#harness = harness;
    this.origin = origin;
    this.api = api;
  }

  /** Makes the repository and the secrets that it needs; apply it with `apply`. */
  static async start(harness: ControllerHarness): Promise<TestForge> {
    const forge = new TestForge(harness, await GitRepository.create(), await startReceiver());
    const secrets = harness.client(SecretService);
    await secrets.setSecret({ name: "HOOK", value: Buffer.from("hook-secret\n") });
    await secrets.setSecret({ name: "TOKEN", value: Buffer.from("api-token") });
    return forge;
  }

  get repositories() {
    return this.#harness.client(RepositoryService);
  }

  /** Applies the repository, with these settings in place of the usual. */
  async apply(settings: RepositoryInit = {}): Promise<Repository> {
    const repository = create(RepositorySchema, {
      name: "shop",
      url: this.origin.url,
      forge: Forge.GITHUB,
      apiUrl: `http://127.0.0.1:${this.api.port}`,
      allowPrivate: true,
      webhookSecrets: ["HOOK"],
      tokenSecret: "TOKEN",
      ...settings,
    });
    const response = await this.repositories.applyRepository({ repository });
    if (response.repository === undefined) throw new Error("no repository came back");
    return response.repository;
  }

  /** Posts a body as GitHub does; undefined: nobody answered. */
  async send(body: unknown, options: HookOptions = {}): Promise<{ readonly status: number; readonly text: string }> {
    const { event = "push", secret = "hook-secret", headers = {}, path = "/hooks/shop" } = options;
    const raw = typeof body === "string" ? body : JSON.stringify(body);
    this.#deliveries += 1;
    const response = await fetch(`http://${this.#harness.controller.httpAddress}${path}`, {
      method: "POST",
      body: raw,
      headers: {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": `delivery-${this.#deliveries}`,
        "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(raw).digest("hex")}`,
        ...headers,
      },
    });
    return { status: response.status, text: await response.text() };
  }

  /** The body of a push. */
  push(after: string, fields: Readonly<Record<string, unknown>> = {}) {
    return {
      ref: "refs/heads/main",
      before: ZERO,
      after,
      forced: false,
      commits: [],
      repository: { id: 1, full_name: "team/shop", pushed_at: this.#deliveries },
      pusher: { name: "nobody" },
      sender: { login: "ann" },
      ...fields,
    };
  }

  /** The body of a pull request from a fork, or from the repository itself. */
  pullRequest(head: { readonly ref: string; readonly sha: string; readonly isFork: boolean }, sender = "eve") {
    const repo = { id: 1, full_name: "team/shop" };
    return {
      action: "opened",
      number: 12,
      pull_request: {
        head: { ...head, repo: head.isFork ? { id: 9, full_name: `${sender}/shop` } : repo },
        base: { ref: "main", sha: ZERO, repo },
        user: { login: sender },
      },
      repository: repo,
      sender: { login: sender },
    };
  }

  /** Statuses that the API got, the oldest first: "<context> <state>". */
  statuses(): string[] {
    return this.api.received.map(({ body }) => {
      const { context, state }: { context: string; state: string } = JSON.parse(body);
      return `${context} ${state}`;
    });
  }

  async stop(): Promise<void> {
    await this.api.stop();
    await this.origin.remove();
  }
}
