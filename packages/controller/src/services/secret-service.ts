import { clone } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type Secret, SecretSchema, type SecretService, type SetSecretRequest } from "@kedge/proto";
import type { CallContext, ServiceImplementation } from "@kedge/rpc";
import type { EventRecorder } from "../events/recorder.ts";
import { assertScope, scopeText } from "../secrets/scope.ts";
import type { SecretVault } from "../secrets/secret-vault.ts";
import type { Stores } from "../stores.ts";
import { pageOf } from "./paging.ts";

/** What the secret service works with. */
export interface SecretServiceOptions {
  readonly stores: Pick<Stores, "secrets">;
  readonly vault: SecretVault;
  readonly events: EventRecorder;
}

/** As pipelines name them. */
const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/;
const MAX_VALUE_BYTES = 64 * 1024;

/** SecretService: values go in and never come out; every change is an event. */
export function createSecretService(options: SecretServiceOptions): ServiceImplementation<typeof SecretService> {
  const { stores, vault, events } = options;
  const tell = (name: string, reason: string, message: string, { principal }: CallContext): void =>
    events.record({ kind: "secret", name, reason, message, fields: { by: principal.name } });
  return {
    setSecret: async (request, context) => {
      assertSet(request);
      const { name, value, scope } = request;
      const secret = await vault.set({ key: name, value, scope, by: context.principal.name });
      const message = `version ${secret.version}, ${scopeText(secret.scope)}, by ${context.principal.name}`;
      tell(name, "SecretSet", message, context);
      return { secret: withoutValue(secret) };
    },
    listSecrets: async (request) => {
      const all = [...stores.secrets.entries()].map(([, { value }]) => value);
      const page = pageOf(
        all.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        ({ name }) => name,
        request,
      );
      return { secrets: page.items.map(withoutValue), nextPageToken: page.nextPageToken };
    },
    deleteSecret: async ({ name }, context) => {
      await vault.delete(name);
      tell(name, "SecretDeleted", `by ${context.principal.name}`, context);
      return {};
    },
    rotateKey: async (_request, context) => {
      const { keyId, rewrapped } = await vault.rotate();
      const message = `key ${keyId} is in use, for ${rewrapped} secrets anew, by ${context.principal.name}`;
      tell("key", "SecretKeyRotated", message, context);
      return { keyId, rewrapped };
    },
  };
}

function assertSet({ name, value, scope }: SetSecretRequest): void {
  if (!NAME.test(name)) {
    const what = "name: a letter or _, then letters, digits, _ and -, at most 128 characters";
    throw new KedgeError("INVALID_FIELD", what, { field: "name" });
  }
  if (value.byteLength === 0 || value.byteLength > MAX_VALUE_BYTES) {
    throw new KedgeError("INVALID_FIELD", `value must have 1 to ${MAX_VALUE_BYTES} bytes`, { field: "value" });
  }
  if (scope !== undefined) assertScope(scope);
}

function withoutValue(secret: Secret): Secret {
  const shown = clone(SecretSchema, secret);
  shown.ciphertext = new Uint8Array();
  shown.wrappedKey = new Uint8Array();
  return shown;
}
