import { createHash, timingSafeEqual } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { type Clock, secureBytes } from "@kedge/kernel";
import { type Role, type Token, TokenSchema } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import type { Stores } from "../stores.ts";

/** What a new bearer or join token is made from. */
export interface NewTokenOptions {
  readonly name: string;
  readonly role: Role;
  readonly createdBy: string;
  /** The team that runs submitted with it count for; empty or absent: "default". */
  readonly team?: string;
  readonly ttlMs?: number;
  /** Makes it a join token. */
  readonly join?: { readonly uses: number; readonly labels: Readonly<Record<string, string>> };
}

/** A token just made; the only time its secret is known. */
export interface MadeToken {
  readonly info: Token;
  readonly secret: string;
}

const MAX_RACES = 20;
const ID = /^[0-9a-f]{16}$/;

/** Makes, checks and revokes tokens. Stored are SHA-256 hashes: the secrets have 256 random bits, so no salt or stretching. */
export class TokenRegistry {
  readonly #stores: Stores;
  readonly #clock: Clock;

  constructor(stores: Stores, clock: Clock) {
    this.#stores = stores;
    this.#clock = clock;
  }

  async create(options: NewTokenOptions): Promise<MadeToken> {
    const id = Buffer.from(secureBytes(8)).toString("hex");
    const secret = Buffer.from(secureBytes(32)).toString("base64url");
    const nowMs = this.#clock.now();
    const info = create(TokenSchema, {
      id,
      name: options.name,
      role: options.role,
      secretHash: hash(secret),
      createdAt: timestampFromMs(nowMs),
      createdBy: options.createdBy,
      team: options.team ?? "",
      ...(options.ttlMs === undefined ? {} : { expiresAt: timestampFromMs(nowMs + options.ttlMs) }),
      ...(options.join === undefined
        ? {}
        : { join: true, usesLeft: options.join.uses, nodeLabels: { ...options.join.labels } }),
    });
    await this.#stores.tokens.create(id, info);
    return { info, secret };
  }

  /** The principal of a `kedge_<id>_<secret>` bearer token; undefined when it is not valid now. */
  authenticate(bearer: string): Principal | undefined {
    const [prefix, id, ...rest] = bearer.split("_");
    if (prefix !== "kedge" || id === undefined) return undefined;
    const token = this.#valid(id, rest.join("_"));
    if (token === undefined || token.join) return undefined;
    return { name: token.name, role: token.role, ...(token.team === "" ? {} : { team: token.team }) };
  }

  /**
   * Spends one use of a join token; none when the node it admits is enrolled with the same key already.
   *
   * @throws KedgeError JOIN_TOKEN_INVALID; CONFLICT when others use it at the same time again and again.
   */
  async spendJoinToken(id: string, secret: string, { again }: { readonly again: boolean }): Promise<Token> {
    for (let attempt = 1; ; attempt++) {
      const { token, revision } = this.#joinToken(id, secret, again ? 0 : 1);
      if (again) return token;
      try {
        await this.#stores.tokens.update(id, { ...token, usesLeft: token.usesLeft - 1 }, revision);
        return token;
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  #joinToken(id: string, secret: string, leastUses: number): { token: Token; revision: number } {
    const token = this.#valid(id, secret);
    const stored = this.#stores.tokens.get(id);
    if (token === undefined || stored === undefined || !token.join || token.usesLeft < leastUses) {
      throw new KedgeError("JOIN_TOKEN_INVALID", "the join token is unknown, used up or expired", {
        field: "token",
        hint: "make a new one with `kedge token create --node`",
      });
    }
    return { token, revision: stored.revision };
  }

  /** @throws KedgeError TOKEN_NOT_FOUND. */
  async revoke(id: string): Promise<void> {
    const stored = ID.test(id) ? this.#stores.tokens.get(id) : undefined;
    if (stored === undefined) throw new KedgeError("TOKEN_NOT_FOUND", `no token has the id ${id}`, { field: "id" });
    await this.#stores.tokens.delete(id, stored.revision);
  }

  #valid(id: string, secret: string): Token | undefined {
    const token = ID.test(id) ? this.#stores.tokens.get(id)?.value : undefined;
    if (token === undefined || !timingSafeEqual(hash(secret), token.secretHash)) return undefined;
    const expired = token.expiresAt !== undefined && timestampMs(token.expiresAt) <= this.#clock.now();
    return expired ? undefined : token;
  }
}

/** The text a person or program presents for a made token. */
export function bearerText(made: MadeToken): string {
  return `kedge_${made.info.id}_${made.secret}`;
}

/** The text `kedge agent join` takes: where the controller is and which CA to trust, besides the secret. */
export function joinText(made: MadeToken, address: string, caFingerprint: string): string {
  const payload = JSON.stringify({ id: made.info.id, secret: made.secret, address, caFingerprint });
  return `kedge-join.${Buffer.from(payload).toString("base64url")}`;
}

function hash(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
