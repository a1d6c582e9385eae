import { type Bus, putHookBody } from "@kedge/bus";
import { isKedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import type { Repository } from "@kedge/proto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Stores } from "../stores.ts";
import { deliveryKey, received, repeated } from "./delivery-record.ts";
import { MAX_HOOK_BYTES, packBody } from "./hook-body.ts";
import { HookBudget } from "./hook-budget.ts";
import { hookPathOf } from "./repository-defaults.ts";
import { checkHook, type GenuineHook, hasSignature } from "./signatures.ts";

/** What became of a request; a label of metrics. */
export type HookOutcome = "stored" | "repeated" | "refused" | "unknown" | "busy" | "failed";

/** What webhooks are taken with. */
export interface HookRoutesOptions {
  readonly bus: Bus;
  readonly stores: Pick<Stores, "repositories" | "deliveries">;
  /** The value of a secret by its name. */
  readonly secret: (name: string) => Promise<string>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onOutcome: (outcome: HookOutcome) => void;
}

interface HookRequest {
  readonly Params: { readonly repository: string };
  readonly Body: Buffer | undefined;
}

/** A body has to be here so soon; forges do not wait longer for an answer either. */
const BODY_MS = 10_000;

/**
 * `POST /hooks/<repository>`: stores a genuine webhook and answers; what follows from it is done later. A repository without
 * a secret is not there at all. Nothing is believed, and no body is parsed, before the signature is checked.
 */
export function hookRoutes(options: HookRoutesOptions): (server: FastifyInstance) => void {
  const door = new HookDoor(options);
  return (server) => {
    server.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: MAX_HOOK_BYTES }, (_request, body, done) => {
        done(null, body);
      });
      scope.setErrorHandler((error: { readonly statusCode?: number }, _request, reply) => {
        const status = error.statusCode ?? 500;
        options.onOutcome(status < 500 ? "refused" : "failed");
        if (status >= 500) options.logger.warn({ err: error }, "a webhook could not be stored");
        return reply.code(status).send({ error: status === 413 ? "the body is too large" : "it was not taken" });
      });
      scope.post<HookRequest>("/hooks/:repository", {
        onRequest: async (request, reply) => door.admit(request, reply),
        handler: async (request, reply) => door.answer(request, reply),
      });
    });
  };
}

/** Lets in what is signed. */
class HookDoor {
  readonly #options: HookRoutesOptions;
  readonly #budget = new HookBudget();

  constructor(options: HookRoutesOptions) {
    this.#options = options;
  }

  /** Before a byte of the body is read. */
  async admit({ params, headers, raw }: FastifyRequest<HookRequest>, reply: FastifyReply): Promise<void> {
    const { clock } = this.#options;
    const repository = this.#find(params.repository);
    if (repository === undefined) return void this.#refuse(reply, 404, "unknown");
    const isSigned = hasSignature(repository.forge, (name) => headerOf(headers, name));
    if (!isSigned) return void this.#refuse(reply, 401, "refused", "it is not signed");
    const length = Number(headers["content-length"]);
    // Who does not say how much comes may send as much as is allowed.
    const bytes = length <= MAX_HOOK_BYTES ? length : MAX_HOOK_BYTES;
    if (!this.#budget.take(bytes, reply.raw)) return void this.#refuse(reply, 503, "busy", "too much at once");
    const cancel = clock.after(BODY_MS, () => raw.complete || raw.destroy());
    reply.raw.once("close", cancel);
  }

  /** With the body, which nobody has looked at. */
  async answer(request: FastifyRequest<HookRequest>, reply: FastifyReply): Promise<FastifyReply> {
    const { clock, onOutcome } = this.#options;
    const repository = this.#find(request.params.repository);
    const secrets = repository === undefined ? [] : await secretsOf(repository, this.#options);
    if (repository === undefined || secrets.length === 0) return this.#refuse(reply, 404, "unknown");
    const body = request.body ?? Buffer.alloc(0);
    const header = (name: string): string | undefined => headerOf(request.headers, name);
    const check = checkHook(repository.forge, { header, body }, { secrets, nowMs: clock.now() });
    if (check.kind === "refused") return this.#refuse(reply, 401, "refused", check.why);
    const isNew = await store(this.#options, repository, { hook: check, body });
    onOutcome(isNew ? "stored" : "repeated");
    return reply.code(isNew ? 202 : 200).send({ id: check.id, repeated: !isNew });
  }

  #find(name: string): Repository | undefined {
    const repository = this.#options.stores.repositories.get(name)?.value;
    return repository === undefined || hookPathOf(repository) === "" ? undefined : repository;
  }

  #refuse(reply: FastifyReply, status: number, outcome: HookOutcome, error = "not found"): FastifyReply {
    this.#options.onOutcome(outcome);
    if (status === 503) reply.header("retry-after", "5");
    return reply.code(status).send({ error });
  }
}

/** A header that came twice is none. */
function headerOf(headers: FastifyRequest["headers"], name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

/** A secret that is not there opens nothing. */
async function secretsOf({ name, webhookSecrets }: Repository, { secret, logger }: HookRoutesOptions) {
  const values: string[] = [];
  for (const one of webhookSecrets) {
    try {
      values.push(await secret(one));
    } catch (err) {
      logger.warn({ err, repository: name, secret: one }, "a secret of webhooks is not there");
    }
  }
  return values;
}

/** The body first: a delivery that is there has one. Stored by two at once, it is one all the same. */
async function store(
  { bus, stores, clock }: HookRoutesOptions,
  { name }: Repository,
  { hook, body }: { readonly hook: GenuineHook; readonly body: Buffer },
): Promise<boolean> {
  const { deliveries } = stores;
  const key = deliveryKey(name, hook.id);
  const known = deliveries.get(key);
  if (known !== undefined) {
    await deliveries.update(key, repeated(known.value), known.revision).catch(unlessRaced);
    return false;
  }
  const parts = await putHookBody(bus, { repository: name, id: hook.id }, await packBody(body));
  const delivery = received(hook, { repository: name, parts, bytes: body.byteLength, nowMs: clock.now() });
  const created = await deliveries.create(key, delivery).catch(unlessRaced);
  return created !== undefined;
}

function unlessRaced(error: unknown): undefined {
  if (isKedgeError(error, "CONFLICT")) return undefined;
  throw error;
}
