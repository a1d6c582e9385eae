import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BuildOptions, TransferOptions } from "../image-store.ts";
import {
  BASE_IMAGE,
  docker,
  dockerHarness,
  forever,
  type Harness,
  output,
  temporaryFolder,
} from "../testing/harness.ts";
import { LOGIN, RegistryServer } from "../testing/registry-server.ts";
import { createImageStore } from "./docker-images.ts";

const ARM = "linux/arm64";
const AMD = "linux/amd64";

describe.each(["nobody asked", "basic", "token"] as const)("a registry (%s)", (guard) => {
  const images = createImageStore({ docker });
  let harness: Harness;
  let registry: RegistryServer;
  let contextDir: string;
  let known: TransferOptions;

  beforeAll(async () => {
    harness = await dockerHarness();
    registry = await RegistryServer.start(guard);
    contextDir = await temporaryFolder();
    const logins = guard === "nobody asked" ? new Map() : new Map([[registry.host, LOGIN]]);
    known = { signal: forever, logins };
  });
  afterAll(async () => {
    await harness.close();
    await registry[Symbol.asyncDispose]();
    await rm(contextDir, { recursive: true, force: true });
  });

  async function build(tag: string, dockerfile: string, more: Partial<BuildOptions> = {}) {
    await writeFile(join(contextDir, "Dockerfile"), dockerfile);
    const log: string[] = [];
    const options = { contextDir, tags: [tag], signal: forever, onLog: (line: string) => log.push(line), ...more };
    return { result: await images.build(options), log };
  }

  it("takes an image and gives it back: to a pull, a container and a build", async () => {
    const tag = `${registry.host}/team/app:1`;
    const next = `${registry.host}/team/next:1`;
    await build(tag, `FROM ${BASE_IMAGE}\nRUN echo ${guard} > /who\n`);
    const { digest } = await images.push(tag, known);
    await images.remove(tag);
    const pinned = `${tag.slice(0, -2)}@${digest}`;
    await images.pull(pinned, known);
    expect(await images.find(pinned)).toMatch(/^sha256:/);
    await images.remove(pinned);
    const spec = harness.script("pulled", "cat /who", { image: tag, logins: known.logins ?? new Map() });
    await harness.runtime.start(spec);
    expect((await output(harness.runtime, "pulled")).stdout).toBe(`${guard}\n`);
    await harness.runtime.remove("pulled");
    await images.remove(tag);
    const { result } = await build(next, `FROM ${tag}\nRUN cat /who\n`, { ...known, noCache: true });
    expect(result).toMatchObject({ kind: "built" });
    await images.remove(next);
  });

  it("is asked for what has changed only if a pull is wanted", async () => {
    const tag = `${registry.host}/team/moving:1`;
    for (const version of ["old", "new"]) {
      await build(tag, `FROM ${BASE_IMAGE}\nRUN echo ${version} > /version\n`);
      await images.push(tag, known);
      if (version === "new") break;
      await docker.getImage(tag).tag({ repo: `${registry.host}/team/kept`, tag: "1" });
    }
    // The node has what was there before.
    await docker.getImage(`${registry.host}/team/kept:1`).tag({ repo: `${registry.host}/team/moving`, tag: "1" });
    const versionBy = async (pull: "missing" | "always") => {
      const more = { image: tag, pull, logins: known.logins ?? new Map() };
      await harness.runtime.start(harness.script(pull, "cat /version", more));
      const { stdout } = await output(harness.runtime, pull);
      // One that exists is taken as it is: nothing is pulled for it again.
      await harness.runtime.start(harness.script(pull, "cat /version", { ...more, logins: new Map() }));
      await harness.runtime.remove(pull);
      return stdout;
    };
    expect(await versionBy("missing")).toBe("old\n");
    expect(await versionBy("always")).toBe("new\n");
    for (const image of [tag, `${registry.host}/team/kept:1`]) await images.remove(image);
  });

  it("has one tag for several platforms", async () => {
    const tag = `${registry.host}/team/multi:1`;
    const parts = await Promise.all(
      [AMD, ARM].map(async (platform) => {
        const own = `${tag}-${platform.replace("/", "-")}`;
        await build(own, `FROM scratch\nCOPY Dockerfile /for-${platform.replace("/", "-")}\n`, { platform });
        const { digest } = await images.push(own, known);
        await images.remove(own);
        return { platform, digest };
      }),
    );
    const { digest } = await images.pushIndex(tag, parts, known);
    await images.pull(`${registry.host}/team/multi@${digest}`, known);
    for (const { platform } of parts) {
      const stream = await docker.pull(tag, { platform, ...(guard === "nobody asked" ? {} : { authconfig: LOGIN }) });
      await new Promise((resolve) => docker.modem.followProgress(stream, resolve));
      const { Architecture: architecture } = await docker.getImage(tag).inspect();
      expect(`linux/${architecture}`).toBe(platform);
      await images.remove(tag);
    }
  });

  const forGuarded = guard === "nobody asked" ? () => {} : it;
  forGuarded("is in the way of who has no login, and says so", async () => {
    const tag = `${registry.host}/team/secret:1`;
    const wrong = new Map([[registry.host, { ...LOGIN, password: "guess" }]]);
    await build(tag, "FROM scratch\nCOPY Dockerfile /\n");
    const { digest } = await images.push(tag, known);
    const parts = [{ platform: AMD, digest }];
    for (const logins of [new Map(), wrong]) {
      const options = { signal: forever, logins };
      const hint = expect.stringContaining("registries");
      await expect(images.push(tag, options)).rejects.toMatchObject({ reason: "IMAGE_UNAVAILABLE", hint });
      await expect(images.pull(tag, options)).rejects.toMatchObject({ reason: "IMAGE_UNAVAILABLE", hint });
      await expect(images.pushIndex(tag, parts, options)).rejects.toMatchObject({ reason: "IMAGE_UNAVAILABLE", hint });
    }
    await images.remove(tag);
    await expect(build(`${tag}-next`, `FROM ${tag}\n`, { logins: wrong })).rejects.toMatchObject({
      reason: "IMAGE_UNAVAILABLE",
      hint: expect.stringContaining(`registries: [{ host: "${registry.host}"`),
    });
  });

  it("takes no index of an image that it does not have", async () => {
    const missing = `sha256:${"0".repeat(64)}`;
    const tag = `${registry.host}/team/none:1`;
    await expect(images.pushIndex(tag, [{ platform: AMD, digest: missing }], known)).rejects.toThrow(
      `registry ${registry.host}: it answers 404 (manifest unknown)`,
    );
  });
});
