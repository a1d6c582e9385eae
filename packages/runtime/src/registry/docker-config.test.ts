import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readDockerConfig } from "./docker-config.ts";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-docker-config-"));
  path = join(folder, "config.json");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const base64 = (text: string): string => Buffer.from(text).toString("base64");

it("has the logins that docker login wrote", async () => {
  const auths = {
    "https://index.docker.io/v1/": { auth: base64("me:pass:word") },
    "reg.example:5000": { auth: base64("ci:x") },
    "ghcr.io": {},
    "broken.example": { auth: "%%%" },
  };
  await writeFile(path, JSON.stringify({ auths, credsStore: "desktop", HttpHeaders: {} }));
  expect(Object.fromEntries(await readDockerConfig(path))).toEqual({
    "docker.io": { username: "me", password: "pass:word" },
    "reg.example:5000": { username: "ci", password: "x" },
  });
});

it("has none where there is no file, and shows nothing of one that is wrong", async () => {
  expect((await readDockerConfig(join(folder, "missing.json"))).size).toBe(0);
  await writeFile(path, '{"auths": {"a": {"auth": "c2VjcmV0"}}');
  const error = await readDockerConfig(path).catch(String);
  expect(error).toContain(`the logins in ${path} cannot be read: it is not what docker login writes`);
  expect(error).not.toContain("c2VjcmV0");
});
