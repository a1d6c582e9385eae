import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clone, create } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import { SecretSchema, SecretScopeSchema } from "@kedge/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { KeyFile, type MasterKey } from "./key-file.ts";
import { SecretVault } from "./secret-vault.ts";

const clock = systemClock;

let world: TestStores;
let dir: string;
let path: string;
let vault: SecretVault;

beforeAll(async () => {
  world = await startTestStores();
});
afterAll(() => world.stop());
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kedge-vault-"));
  path = join(dir, "secrets.key");
  vault = vaultWith(new KeyFile(path));
});
afterEach(async () => {
  vi.restoreAllMocks();
  const { secrets, runSecrets } = world.stores;
  for (const store of [secrets, runSecrets]) for (const [key] of [...store.entries()]) await store.delete(key);
  await rm(dir, { recursive: true, force: true });
});

/** What a process started anew on the same store has, or another controller that shares the file. */
const vaultWith = (keyFile: KeyFile): SecretVault => new SecretVault({ stores: world.stores, keyFile, clock });
const put = (key: string, text: string, scope?: { environments: string[] }) =>
  vault.set({ key, value: Buffer.from(text), scope: scope && create(SecretScopeSchema, scope), by: "ann" });
const text = async (name: string, from = vault): Promise<string> => Buffer.from(await from.value(name)).toString();
const keyIds = async (): Promise<string[]> => (await new KeyFile(path).read()).map(({ id }) => id);
const usedIds = (): Set<string> => {
  const { secrets, runSecrets } = world.stores;
  return new Set([...secrets.entries(), ...runSecrets.entries()].map(([, { value }]) => value.keyId));
};

test("keeps values encrypted, with a version for each and the scope they had", async () => {
  const first = await put("token", "first value", { environments: ["production"] });
  const second = await put("token", "second value");
  expect([first.version, second.version, second.scope?.environments, second.updatedBy]).toEqual([
    ...[1, 2],
    ["production"],
    "ann",
  ]);
  expect(await text("token")).toBe("second value");
  expect(Buffer.from(world.stores.secrets.get("token")?.value.ciphertext ?? []).includes("value")).toBe(false);
  expect((await put("token", "third", { environments: [] })).scope?.environments).toEqual([]);
  await vault.delete("token");
  await expect(vault.value("token")).rejects.toMatchObject({ reason: "SECRET_NOT_FOUND" });
});

test("says of values that they are too short to be masked", async () => {
  expect([(await put("pin", "12345")).unmasked, (await put("pin", "123456")).unmasked]).toEqual([true, false]);
});

test("notices what was changed in the store", async () => {
  await put("token", "mine", { environments: ["production"] });
  await put("other", "other");
  const { secrets } = world.stores;
  const [token, other] = [secrets.get("token"), secrets.get("other")];
  if (token === undefined || other === undefined) throw new Error("not stored");
  const wider = clone(SecretSchema, token.value);
  wider.scope = create(SecretScopeSchema);
  const { revision } = await secrets.update("token", wider, token.revision);
  await expect(vault.value("token")).rejects.toMatchObject({ reason: "SIGNATURE_INVALID" });
  await secrets.update("token", other.value, revision);
  await expect(vault.value("token")).rejects.toMatchObject({ reason: "SIGNATURE_INVALID" });
});

describe("the key file", () => {
  test("is made for its owner only, and may be brought along", async () => {
    await put("token", "value");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await vault.delete("token");
    await writeFile(path, `${Buffer.alloc(32, 5).toString("base64")}\n`);
    await put("token", "value");
    expect([...usedIds()]).toEqual(await keyIds());
  });

  test.each([
    ["everybody may read it", () => chmod(path, 0o644), "may be read by everybody"],
    ["it is damaged", () => writeFile(path, "no key\n"), "is damaged"],
    ["it is empty", () => writeFile(path, ""), "is damaged"],
    ["it is gone", () => rm(path), "is missing, and 1 secrets need it"],
    ["it is another", () => writeFile(path, Buffer.alloc(32).toString("base64")), "which is not"],
  ])("nothing is done with it when %s", async (_, happen, message) => {
    await put("token", "value");
    await chmod(path, 0o600);
    await happen();
    const before = await readFile(path, "utf8").catch(() => undefined);
    const failure = { reason: "SECRET_KEY_LOST" };
    await expect(vault.value("token")).rejects.toMatchObject(failure);
    await expect(vault.rotate()).rejects.toMatchObject(failure);
    await expect(vault.rotate()).rejects.toThrow(message);
    expect(await readFile(path, "utf8").catch(() => undefined)).toBe(before);
    expect(world.stores.secrets.get("token")?.value.version).toBe(1);
  });

  test("two processes that make it at once make one", async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => new KeyFile(path).create()));
    expect(new Set(made.map(([key]) => key?.id)).size).toBe(1);
  });
});

describe("changing the key", () => {
  const NAMES = ["one", "two", "three"];
  beforeEach(async () => {
    for (const name of NAMES) await put(name, `value ${name}`);
    await vault.setOfRun("run1", "password", { value: Buffer.from("of the run"), by: "ann" });
  });

  const assertAll = async (from: SecretVault): Promise<void> => {
    for (const name of NAMES) expect(await text(name, from)).toBe(`value ${name}`);
    expect(Buffer.from(await from.valueOfRun("run1", "password")).toString()).toBe("of the run");
  };
  const assertOneKey = async (): Promise<void> => {
    const ids = await keyIds();
    expect([ids.length, [...usedIds()]]).toEqual([1, ids]);
  };

  test("takes all secrets over, and forgets the old one", async () => {
    const [old] = await keyIds();
    const { keyId, rewrapped } = await vault.rotate();
    expect([await keyIds(), rewrapped, keyId === old]).toEqual([[keyId], 4, false]);
    await assertAll(vaultWith(new KeyFile(path)));
    await assertOneKey();
    expect(world.stores.secrets.get("one")?.value.version).toBe(1);
  });

  /** Dies before or after it has replaced the file for the n-th time. */
  class DyingKeyFile extends KeyFile {
    readonly #when: { readonly replacement: number; readonly after: boolean };
    #count = 0;
    constructor(when: { readonly replacement: number; readonly after: boolean }) {
      super(path);
      this.#when = when;
    }
    override async replace(keys: readonly MasterKey[], before: readonly MasterKey[]): Promise<void> {
      const dies = ++this.#count === this.#when.replacement;
      if (dies && !this.#when.after) throw new Error("killed");
      await super.replace(keys, before);
      if (dies) throw new Error("killed");
    }
  }
  const dyingAt = (replacement: number, after: boolean) => () =>
    vaultWith(new DyingKeyFile({ replacement, after })).rotate();
  const dyingAtWrite = (write: number) => () => {
    const { secrets } = world.stores;
    const update = secrets.update.bind(secrets);
    let count = 0;
    vi.spyOn(secrets, "update").mockImplementation((...args) =>
      ++count === write ? Promise.reject(new Error("killed")) : update(...args),
    );
    return vault.rotate();
  };

  test.each([
    ["before the file has the new key", dyingAt(1, false)],
    ["once the file has both", dyingAt(1, true)],
    ["before the first secret is taken over", dyingAtWrite(1)],
    ["before the second", dyingAtWrite(2)],
    ["before the last", dyingAtWrite(3)],
    ["before the old key is forgotten", dyingAt(2, false)],
    ["once it is", dyingAt(2, true)],
  ])("can be killed %s", async (_, rotate) => {
    await expect(rotate()).rejects.toThrow("killed");
    vi.restoreAllMocks();
    const next = vaultWith(new KeyFile(path));
    await assertAll(next);
    await next.set({ key: "four", value: Buffer.from("new"), scope: undefined, by: "ann" });
    await next.finishRotation();
    await assertAll(next);
    await assertOneKey();
    expect(await text("four", next)).toBe("new");
    // One that was brought to its end is not begun again.
    await next.finishRotation();
    await assertOneKey();
  });

  /** Two that change the key at once do not; one is told to try again. */
  const isConflict = (error: unknown): void => expect(error).toMatchObject({ reason: "CONFLICT", retryable: true });

  test("is nothing that who reads a value notices", async () => {
    const { promise: changed, resolve } = Promise.withResolvers<void>();
    class SlowKeyFile extends KeyFile {
      override async read(): Promise<readonly MasterKey[]> {
        const keys = await super.read();
        await changed;
        return keys;
      }
    }
    const reading = text("three", vaultWith(new SlowKeyFile(path)));
    await vault.rotate();
    resolve();
    expect(await reading).toBe("value three");
  });

  test("goes on with the key that a change cut short had made", async () => {
    await expect(dyingAt(2, false)()).rejects.toThrow("killed");
    const [made, old] = await keyIds();
    expect(old).toBeDefined();
    expect(await vault.rotate()).toEqual({ keyId: made, rewrapped: 0 });
    await assertAll(vault);
    await assertOneKey();
  });

  test("loses no value that is set meanwhile, in this process or another", async () => {
    const other = vaultWith(new KeyFile(path));
    const sets = Array.from({ length: 30 }, async (_, i) => {
      const value = Buffer.from(`value ${i}`);
      await (i % 2 ? vault : other).set({ key: `new${i}`, value, scope: undefined, by: "ann" });
      if (i % 10 === 0) await (i % 20 ? vault : other).rotate().catch(isConflict);
    });
    const reads = Array.from({ length: 100 }, async () => expect(await text("one")).toBe("value one"));
    await Promise.all([...sets, ...reads, vault.rotate().catch(isConflict)]);
    await vault.finishRotation();
    for (let i = 0; i < 30; i++) expect(await text(`new${i}`)).toBe(`value ${i}`);
    await assertAll(vault);
    await assertOneKey();
  });
});
