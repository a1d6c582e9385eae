import { createHash } from "node:crypto";
import { link, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { KedgeError } from "@kedge/domain";
import { secureBytes } from "@kedge/kernel";
import { takeMachineLock } from "../machine-lock.ts";

/** A key that keys of secrets are encrypted with. */
export interface MasterKey {
  /** Follows from the key, and tells nothing about it. */
  readonly id: string;
  /** 32 bytes. */
  readonly bytes: Uint8Array;
}

const KEY_LENGTH = 32;
const KEY = /^[A-Za-z0-9+/]{43}=$/;
const COMMENT = "# Keys of Kedge's secrets, the one in use first. Keep a copy apart from the store.";
/** Permissions of everybody who is neither owner nor in the group. */
const OTHERS = 0o007;

/** A new key. */
export function makeMasterKey(): MasterKey {
  return masterKey(secureBytes(KEY_LENGTH));
}

function masterKey(bytes: Uint8Array): MasterKey {
  const id = createHash("sha256").update("kedge-master-key").update(bytes).digest("hex").slice(0, 16);
  return { id, bytes };
}

/**
 * The file with the master keys, outside the store: one key in base64 a line, the one in use first. There is more than one
 * only while they are being changed. Always read anew, because controllers share it.
 */
export class KeyFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * The keys, the one in use first; none when there is no file.
   *
   * @throws KedgeError SECRET_KEY_LOST for a file that is damaged, cannot be read, or can be read by everybody.
   */
  async read(): Promise<readonly MasterKey[]> {
    const text = await this.#text();
    if (text === undefined) return [];
    const lines = text.split("\n").map((line) => line.trim());
    const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
    if (keys.length === 0 || !keys.every((line) => KEY.test(line))) {
      throw this.#lost("is damaged: every line must be 32 bytes in base64", "restore it from its copy");
    }
    return keys.map((line) => masterKey(Buffer.from(line, "base64")));
  }

  /** Makes the file with a first key, unless another process is faster; gives the keys that are there then. */
  async create(): Promise<readonly MasterKey[]> {
    const temporary = await this.#writeBeside([makeMasterKey()]);
    try {
      // Unlike a rename, a link replaces nothing.
      await link(temporary, this.path);
      await this.#syncFolder();
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    } finally {
      await rm(temporary, { force: true });
    }
    return this.read();
  }

  /**
   * Replaces the keys as a whole; they are on the disk when this resolves. For who has the file to himself.
   *
   * @param before what they must be until now.
   * @throws KedgeError CONFLICT when they are not.
   */
  async replace(keys: readonly MasterKey[], before: readonly MasterKey[]): Promise<void> {
    const temporary = await this.#writeBeside(keys);
    const found = await this.read();
    if (found.map(({ id }) => id).join() !== before.map(({ id }) => id).join()) {
      await rm(temporary, { force: true });
      throw this.#busy();
    }
    await rename(temporary, this.path);
    await this.#syncFolder();
  }

  /**
   * Does something while no other process of this machine changes the file.
   *
   * @throws KedgeError CONFLICT when another does.
   */
  async exclusively<T>(change: () => Promise<T>): Promise<T> {
    const folder = await realpath(dirname(this.path)).catch((cause: unknown) => {
      throw this.#lost("cannot be written", "its folder must exist", cause);
    });
    const unlock = await takeMachineLock("secret-key", join(folder, basename(this.path)));
    if (unlock === undefined) throw this.#busy();
    try {
      return await change();
    } finally {
      await unlock();
    }
  }

  async #text(): Promise<string | undefined> {
    try {
      const { mode } = await stat(this.path);
      if ((mode & OTHERS) !== 0) throw this.#lost("may be read by everybody on the machine", `chmod o= ${this.path}`);
      return await readFile(this.path, "utf8");
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return undefined;
      if (cause instanceof KedgeError) throw cause;
      throw this.#lost("cannot be read", "the controller's user must be able to", cause);
    }
  }

  async #writeBeside(keys: readonly MasterKey[]): Promise<string> {
    const temporary = `${this.path}.${Buffer.from(secureBytes(6)).toString("hex")}.tmp`;
    const lines = keys.map(({ bytes }) => Buffer.from(bytes).toString("base64"));
    const file = await open(temporary, "wx", 0o600).catch((cause: unknown) => {
      throw this.#lost("cannot be written", "its folder must exist, and the controller may write there", cause);
    });
    try {
      await file.writeFile(`${[COMMENT, ...lines].join("\n")}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    return temporary;
  }

  async #syncFolder(): Promise<void> {
    const folder = await open(dirname(this.path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  #busy(): KedgeError {
    return new KedgeError("CONFLICT", `another controller is changing the keys in ${this.path}`);
  }

  #lost(what: string, hint: string, cause?: unknown): KedgeError {
    return new KedgeError("SECRET_KEY_LOST", `the key file ${this.path} ${what}`, {
      field: "secretKeyFile",
      hint,
      cause,
    });
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
