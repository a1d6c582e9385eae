import { clone } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { assertName, KedgeError } from "@kedge/domain";
import { Role, type Token, TokenSchema, type TokenService } from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import { bearerText, type TokenRegistry } from "../auth/tokens.ts";
import type { Stores } from "../stores.ts";
import { pageOf } from "./paging.ts";

const GRANTABLE: ReadonlySet<Role> = new Set([Role.VIEWER, Role.OPERATOR, Role.ADMIN]);
const MAX_NAME = 80;

/** TokenService: bearer tokens for people and programs. */
export function createTokenService(
  stores: Stores,
  tokens: TokenRegistry,
  version: string,
): ServiceImplementation<typeof TokenService> {
  return {
    createToken: async (request, context) => {
      if (!GRANTABLE.has(request.role)) {
        throw new KedgeError("INVALID_FIELD", "role must be viewer, operator or admin", { field: "role" });
      }
      if (request.name === "" || request.name.length > MAX_NAME) {
        throw new KedgeError("INVALID_FIELD", `name must have 1 to ${MAX_NAME} characters`, { field: "name" });
      }
      if (request.ttl !== undefined && durationMs(request.ttl) <= 0) {
        throw new KedgeError("INVALID_FIELD", "ttl must be more than 0", { field: "ttl" });
      }
      if (request.team !== "") assertName("team", request.team, "team");
      const made = await tokens.create({
        name: request.name,
        team: request.team,
        role: request.role,
        createdBy: context.principal.name,
        ...(request.ttl === undefined ? {} : { ttlMs: durationMs(request.ttl) }),
      });
      return { token: bearerText(made), info: withoutHash(made.info) };
    },
    listTokens: async (request) => {
      const all = [...stores.tokens.entries()].map(([, { value }]) => value);
      const page = pageOf(
        all.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        (token) => token.id,
        request,
      );
      return { tokens: page.items.map(withoutHash), nextPageToken: page.nextPageToken };
    },
    revokeToken: async (request) => {
      await tokens.revoke(request.id);
      return {};
    },
    whoAmI: async (_request, context) => ({
      name: context.principal.name,
      role: context.principal.role,
      controllerVersion: version,
    }),
  };
}

function withoutHash(token: Token): Token {
  const shown = clone(TokenSchema, token);
  shown.secretHash = new Uint8Array();
  return shown;
}
