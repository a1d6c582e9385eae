import { KedgeError } from "@kedge/domain";
import { Role, type TaskRefFull } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import { isOpenMethod, mayCall, mayStepCall } from "./principal.ts";
import { authenticateStep, authenticateTask } from "./task-token.ts";
import type { TokenRegistry } from "./tokens.ts";

/** What the authenticator checks tokens with. */
export interface AuthenticatorOptions {
  readonly tokens: TokenRegistry;
  /** Public nkey that signs task tokens. */
  readonly controllerKey: string;
  readonly isTaskLive: (ref: TaskRefFull) => boolean;
}

const ANONYMOUS: Principal = { name: "anonymous", role: Role.UNSPECIFIED };

/** Makes the check every call goes through first: who is it, and may they. */
export function createAuthenticator(options: AuthenticatorOptions) {
  return (bearer: string | undefined, call: { readonly service: string; readonly method: string }): Principal => {
    if (isOpenMethod(call.service, call.method)) return ANONYMOUS;
    const { tokens, controllerKey, isTaskLive } = options;
    const step = authenticateStep(bearer ?? "", controllerKey, isTaskLive);
    const principal =
      step ?? (bearer && (tokens.authenticate(bearer) ?? authenticateTask(bearer, controllerKey, isTaskLive)));
    if (!principal) {
      throw new KedgeError("UNAUTHENTICATED", "the call carries no valid bearer token", {
        hint: "pass --token, set KEDGE_TOKEN, or use a context that `kedge up` saved",
      });
    }
    const isAllowed = step
      ? mayStepCall(call.service, call.method)
      : mayCall(principal.role, call.service, call.method);
    if (isAllowed) return principal;
    throw new KedgeError("PERMISSION_DENIED", `${principal.name} may not call ${call.method}`, {
      hint: "ask an admin for a token with a higher role",
    });
  };
}
