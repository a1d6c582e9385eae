import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { contextsPath, loadContext, readContexts, saveContext } from "./contexts.ts";

let folder: string;
let env: Record<string, string>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-contexts-"));
  env = { KEDGE_CONFIG: join(folder, "kedge", "config.json") };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("the file is the owner's alone, is replaced whole and leaves nothing beside it", async () => {
  await saveContext("local", { address: "a:1", token: "t" }, env);
  await saveContext("prod", { address: "b:2", caPem: "PEM" }, env);
  const path = contextsPath(env);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
  expect(await readdir(dirname(path))).toEqual(["config.json"]);
  expect(await readContexts(env)).toEqual({
    current: "prod",
    contexts: { local: { address: "a:1", token: "t" }, prod: { address: "b:2", caPem: "PEM" } },
  });
});

test("settings given win over the environment, which wins over the file", async () => {
  await saveContext("local", { address: "file:1", token: "file" }, env);
  expect(await loadContext({ env })).toEqual({ address: "file:1", token: "file" });
  const ca = join(folder, "ca.pem");
  await writeFile(ca, "PEM");
  const withEnv = { ...env, KEDGE_ADDRESS: "env:1", KEDGE_TOKEN: "env", KEDGE_CA_FILE: ca };
  expect(await loadContext({ env: withEnv })).toEqual({ address: "env:1", token: "env", caPem: "PEM" });
  expect(await loadContext({ env: withEnv, address: "given:1", token: "given" })).toMatchObject({
    address: "given:1",
    token: "given",
  });
});

test("what is missing or broken is said", async () => {
  await expect(loadContext({ env })).rejects.toMatchObject({ reason: "INVALID_OPTION", field: "address" });
  await saveContext("local", { address: "a:1" }, env);
  await expect(loadContext({ env, name: "__proto__" })).rejects.toMatchObject({
    field: "context",
    hint: "Known: local.",
  });
  for (const text of ["{", "[]", '{"current":"x","contexts":{"x":{}}}']) {
    await writeFile(contextsPath(env), text);
    await expect(loadContext({ env })).rejects.toMatchObject({ reason: "INVALID_OPTION", field: "KEDGE_CONFIG" });
  }
});
