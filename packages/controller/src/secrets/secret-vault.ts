import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Store, StoredDocument } from "@kedge/bus";
import { isKedgeError, isMaskable, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type Secret, SecretSchema, type SecretScope, SecretScopeSchema } from "@kedge/proto";
import { lookUp } from "../services/lookup.ts";
import type { Stores } from "../stores.ts";
import { decryptValue, encryptValue, rewrap, type SecretBinding } from "./envelope.ts";
import { type KeyFile, type MasterKey, makeMasterKey } from "./key-file.ts";

/** What secrets are kept with. */
export interface SecretVaultOptions {
  readonly stores: Pick<Stores, "secrets" | "runSecrets">;
  readonly keyFile: KeyFile;
  readonly clock: Clock;
}

/** A value to keep. */
export interface NewValue {
  /** Key of the document. */
  readonly key: string;
  readonly value: Uint8Array;
  /** Undefined: as it was; of a new secret: everywhere. */
  readonly scope: SecretScope | undefined;
  readonly by: string;
}

type SecretStore = Store<typeof SecretSchema>;
type StoredSecret = StoredDocument<typeof SecretSchema>;

const NOT_FOUND = { reason: "SECRET_NOT_FOUND", noun: "secret", field: "name" } as const;
const MAX_RACES = 20;
const MAX_LOOKS = 3;

/**
 * Secrets at rest: in the store only encrypted, under keys that are encrypted with a master key from a file outside it.
 *
 * A value that was acknowledged can be read with a key of the file, whenever the key is changed and whatever is killed: the
 * file gets the new key before any document does and keeps the old one until no document needs it, and who stores a
 * value looks at the file again afterwards.
 */
export class SecretVault {
  readonly #options: SecretVaultOptions;
  /** Changes of the key, one after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: SecretVaultOptions) {
    this.#options = options;
  }

  /** Gives a secret a value. @throws KedgeError SECRET_KEY_LOST, CONFLICT, BUS_UNAVAILABLE. */
  set(secret: NewValue): Promise<Secret> {
    return this.#put(this.#options.stores.secrets, secret);
  }

  /** Keeps a value for a run. Fails like `set`. */
  setOfRun(runId: string, parameter: string, secret: Omit<NewValue, "key" | "scope">): Promise<Secret> {
    const key = runSecretKey(runId, parameter);
    return this.#put(this.#options.stores.runSecrets, { ...secret, key, scope: undefined });
  }

  /** A secret without its value. @throws KedgeError SECRET_NOT_FOUND. */
  find(name: string): Secret {
    return lookUp(this.#options.stores.secrets, name, NOT_FOUND).value;
  }

  /** The value of a secret. @throws KedgeError SECRET_NOT_FOUND, SECRET_KEY_LOST, SIGNATURE_INVALID. */
  value(name: string): Promise<Uint8Array> {
    return this.#open(name, () => this.find(name));
  }

  /** The value of a secret that is one line of text. Fails like `value`. */
  async text(name: string): Promise<string> {
    return Buffer.from(await this.value(name))
      .toString("utf8")
      .replace(/\r?\n$/, "");
  }

  /** The value of a run's parameter. Fails like `value`. */
  valueOfRun(runId: string, parameter: string): Promise<Uint8Array> {
    const key = runSecretKey(runId, parameter);
    return this.#open(key, () => {
      const secret = this.#options.stores.runSecrets.get(key)?.value;
      if (secret !== undefined) return secret;
      throw new KedgeError("SECRET_NOT_FOUND", `the value of parameter ${parameter} is no longer kept`, {
        field: `parameters.${parameter}`,
        hint: "submit a new run",
      });
    });
  }

  async #open(key: string, find: () => Secret): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      const keys = await this.#options.keyFile.read();
      const secret = find();
      // It may have been taken over by a new key since the file was read.
      if (attempt < MAX_LOOKS && !keys.some(({ id }) => id === secret.keyId)) continue;
      return decryptValue(secret, bindingOf(key, secret), keys);
    }
  }

  /** Forgets a secret. @throws KedgeError SECRET_NOT_FOUND. */
  async delete(name: string): Promise<void> {
    this.find(name);
    await this.#options.stores.secrets.delete(name);
  }

  /**
   * Makes a new master key, encrypts the keys of all secrets with it, and forgets the old one. A change that was cut short is
   * brought to its end instead, with the key it had made.
   *
   * @returns the key in use, and how many secrets have changed to it just now.
   * @throws KedgeError SECRET_KEY_LOST, before anything has changed, when a secret's key is none of the file's; CONFLICT
   *   while another controller changes the key.
   */
  rotate(): Promise<{ readonly keyId: string; readonly rewrapped: number }> {
    return this.#alone(async () => {
      const { keyFile } = this.#options;
      const keys = await this.#keys();
      this.#assertKnown(keys);
      const [current] = keys;
      const next = keys.length > 1 && current !== undefined ? current : makeMasterKey();
      if (next !== current) await keyFile.replace([next, ...keys], keys);
      return { keyId: next.id, rewrapped: await this.#settle() };
    });
  }

  /** Brings a change of the key that was cut short to its end. To be called now and then. Fails like `rotate`. */
  async finishRotation(): Promise<void> {
    if ((await this.#options.keyFile.read()).length < 2) return;
    await this.#alone(async () => {
      this.#assertKnown(await this.#options.keyFile.read());
      await this.#settle();
    });
  }

  /** Encrypts with the first key of the file what is encrypted with another; then only that key stays. */
  async #settle(): Promise<number> {
    const { keyFile } = this.#options;
    const keys = await keyFile.read();
    const [master] = keys;
    if (master === undefined || keys.length === 1) return 0;
    const done = new Set<string>();
    for (let found = this.#under(master, false); found.length > 0; found = this.#under(master, false)) {
      for (const { store, key } of found) {
        await this.#rewrap(store, key, { keys, master });
        done.add(key);
      }
    }
    await keyFile.replace([master], keys);
    return done.size;
  }

  async #rewrap(
    store: SecretStore,
    key: string,
    keys: { readonly keys: readonly MasterKey[]; readonly master: MasterKey },
  ): Promise<void> {
    const stored = store.get(key);
    if (stored === undefined || stored.value.keyId === keys.master.id) return;
    const next = clone(SecretSchema, stored.value);
    Object.assign(next, rewrap(stored.value, bindingOf(key, stored.value), keys));
    await store.update(key, next, stored.revision).catch((error: unknown) => {
      // Set anew just now, or deleted: the next look tells.
      if (!isKedgeError(error, "CONFLICT")) throw error;
    });
  }

  async #put(store: SecretStore, wanted: NewValue): Promise<Secret> {
    for (let attempt = 1; ; attempt++) {
      const [master] = await this.#keys();
      if (master === undefined) throw new TypeError("a key file without a key was read");
      try {
        const stored = await this.#store(store, wanted, master);
        // The key may have been changed meanwhile, by this process or another, which has not seen this document.
        const [now] = await this.#options.keyFile.read();
        if (now?.id === master.id) return stored.value;
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  #store(store: SecretStore, { key, value, scope, by }: NewValue, master: MasterKey): Promise<StoredSecret> {
    const before = store.get(key);
    const secret = create(SecretSchema, {
      name: key,
      scope: scope ?? before?.value.scope ?? create(SecretScopeSchema),
      version: (before?.value.version ?? 0) + 1,
      updatedAt: timestampFromMs(this.#options.clock.now()),
      updatedBy: by,
      unmasked: !isMaskable(value),
    });
    Object.assign(secret, encryptValue(value, bindingOf(key, secret), master));
    return before === undefined ? store.create(key, secret) : store.update(key, secret, before.revision);
  }

  /** The keys of the file, which is made unless secrets say that there was one. */
  async #keys(): Promise<readonly MasterKey[]> {
    const { keyFile, stores } = this.#options;
    const keys = await keyFile.read();
    if (keys.length > 0) return keys;
    const known = stores.secrets.size + stores.runSecrets.size;
    if (known === 0) return keyFile.create();
    throw new KedgeError("SECRET_KEY_LOST", `the key file ${keyFile.path} is missing, and ${known} secrets need it`, {
      field: "secretKeyFile",
      hint: "restore it from its copy, or delete all secrets and set them anew",
    });
  }

  #assertKnown(keys: readonly MasterKey[]): void {
    const [stray] = this.#all().filter(({ secret }) => !keys.some(({ id }) => id === secret.keyId));
    if (stray === undefined) return;
    const what = `secret ${stray.key} is encrypted with key ${stray.secret.keyId}, which is not in the key file`;
    throw new KedgeError("SECRET_KEY_LOST", what, {
      field: "secretKeyFile",
      hint: `restore the file from its copy, or delete ${stray.key}; nothing was changed`,
    });
  }

  #under(master: MasterKey, isUnder: boolean) {
    return this.#all().filter(({ secret }) => (secret.keyId === master.id) === isUnder);
  }

  #all(): { readonly store: SecretStore; readonly key: string; readonly secret: Secret }[] {
    const { secrets, runSecrets } = this.#options.stores;
    return [secrets, runSecrets].flatMap((store) =>
      [...store.entries()].map(([key, { value: secret }]) => ({ store, key, secret })),
    );
  }

  /** One change of the keys at a time: in this process they wait for each other, another process is refused. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const begin = (): Promise<T> => this.#options.keyFile.exclusively(change);
    const turn = this.#changing.then(begin, begin);
    this.#changing = turn.catch(() => {}); // Who asked for it is told.
    return turn;
  }
}

/** Where the value of a run's parameter is kept. */
export function runSecretKey(runId: string, parameter: string): string {
  return `${runId}.${parameter}`;
}

function bindingOf(name: string, { version, scope }: Secret): SecretBinding {
  return { name, version, scope: scope ?? create(SecretScopeSchema) };
}
