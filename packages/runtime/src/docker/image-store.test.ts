import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isKedgeError } from "@kedge/domain";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BuildOptions } from "../image-store.ts";
import {
  BASE_IMAGE,
  docker,
  dockerHarness,
  forever,
  type Harness,
  output,
  temporaryFolder,
} from "../testing/harness.ts";
import { createImageStore } from "./docker-images.ts";

describe.each(["buildkit", "classic"] as const)("an image store building with %s", (builder) => {
  const images = createImageStore({ docker, builder });
  const tag = `kedge-runtime-test/${builder}:${process.pid}`;
  let harness: Harness;
  let contextDir: string;
  let log: string[];

  beforeAll(async () => {
    harness = await dockerHarness();
  });
  afterAll(async () => {
    await images.remove(tag);
    await harness.close();
  });
  beforeEach(async () => {
    contextDir = await temporaryFolder();
    log = [];
  });
  afterEach(() => rm(contextDir, { recursive: true, force: true }));

  async function build(files: Record<string, string>, more: Partial<BuildOptions> = {}) {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(contextDir, name)), { recursive: true });
      await writeFile(join(contextDir, name), text);
    }
    return images.build({ contextDir, tags: [tag], signal: forever, onLog: (line) => log.push(line), ...more });
  }

  async function runBuilt(id: string, text: string) {
    const name = `${builder}-${id}`;
    await harness.runtime.start(harness.script(name, text, { image: tag }));
    const { stdout } = await output(harness.runtime, name);
    await harness.runtime.remove(name);
    return stdout;
  }

  it("builds what .dockerignore leaves, with arguments, labels and all tags", async () => {
    const Dockerfile = `FROM ${BASE_IMAGE}\nARG WHO=nobody\nCOPY . /app\nRUN echo "made for $WHO ü" | tee /who\n`;
    const files = { Dockerfile, ".dockerignore": "# not these\nnode_modules\n*.log\n!keep.log\n**/*.tmp\n" };
    const content = {
      "a.txt": "",
      "x.log": "",
      "keep.log": "",
      "sub/y.tmp": "",
      "sub/x.log": "",
      "node_modules/m": "",
    };
    const second = `${tag}-b`;
    const result = await build({ ...files, ...content }, { args: { WHO: "kedge" }, tags: [tag, second] });
    expect(result).toEqual({ kind: "built", imageId: await images.find(second) });
    expect(log).toContain("made for kedge ü");
    const listing = await runBuilt("content", "cat /who; cd /app; find . -type f | grep -v ocker | sort");
    expect(listing).toBe("made for kedge ü\n./a.txt\n./keep.log\n./sub/x.log\n");
    await images.remove(second);
  });

  it("stops at the target stage", async () => {
    const Dockerfile = `FROM ${BASE_IMAGE} AS first\nRUN true\nFROM first AS second\nRUN exit 1\n`;
    expect(await build({ Dockerfile }, { target: "first" })).toMatchObject({ kind: "built" });
  });

  it("sends links as links", async () => {
    await symlink("/etc/hostname", join(contextDir, "link"));
    await build({ Dockerfile: `FROM ${BASE_IMAGE}\nCOPY . /app\n` });
    expect(await runBuilt("links", "readlink /app/link")).toBe("/etc/hostname\n");
  });

  it("lends a command secrets, and keeps them out of the image", async () => {
    const mount = "RUN --mount=type=secret,id=token --mount=type=secret,id=none";
    const Dockerfile = `FROM ${BASE_IMAGE}\n${mount} wc -c < /run/secrets/token > /size; ls /run/secrets > /names\n`;
    const secrets = new Map([["token", Buffer.from("hunter2!")]]);
    if (builder === "classic") {
      await expect(build({ Dockerfile }, { secrets })).rejects.toThrow("need BuildKit");
      return;
    }
    await build({ Dockerfile }, { secrets, noCache: true });
    expect(await runBuilt("secrets", "cat /size /names; cat /run/secrets/token 2>&1 || true")).toMatch(
      /^8\ntoken\ncat: /,
    );
    const required = Dockerfile.replace("id=none", "id=none,required=true");
    await expect(build({ Dockerfile: required }, { secrets })).rejects.toThrow("none");
    const history: unknown = await docker.getImage(tag).history();
    expect(JSON.stringify([history, log])).not.toContain("hunter2");
  });

  it("builds for a platform, with what another image has", async () => {
    const Dockerfile = `FROM ${BASE_IMAGE}\nRUN echo once\n`;
    expect(await build({ Dockerfile }, { cacheFrom: [tag, "127.0.0.1:9/nosuch:1"] })).toMatchObject({ kind: "built" });
    await build({ Dockerfile: `FROM scratch\nCOPY Dockerfile /\n` }, { platform: "linux/arm64" }).then(
      async () => expect((await docker.getImage(tag).inspect()).Architecture).toBe("arm64"),
      // The classic builder builds for others only when the engine is experimental.
      (error: unknown) => expect([builder, String(error)]).toEqual(["classic", expect.stringContaining("platform")]),
    );
  });

  it("reports a command that fails with its code", async () => {
    const result = await build({ Dockerfile: `FROM ${BASE_IMAGE}\nRUN echo trying; exit 7\n` });
    expect(result).toMatchObject({ kind: "failed", exitCode: 7 });
    expect(log).toContain("trying");
  });

  it.each(["FROMM x\n", "", `FROM ${BASE_IMAGE}\nCOPY nothing /x\n`])(
    "refuses the Dockerfile %j",
    async (Dockerfile) => {
      await expect(build({ Dockerfile })).rejects.toMatchObject({ reason: "INVALID_FIELD", field: "dockerfile" });
    },
  );

  it("says that the base image cannot be had", async () => {
    const result = build({ Dockerfile: "FROM 127.0.0.1:1/none:1\nRUN true\n" });
    await expect(result).rejects.toSatisfy((error) => isKedgeError(error, "IMAGE_UNAVAILABLE"));
  });

  it("ends when it is cancelled", async () => {
    const cancel = new AbortController();
    const onLog = (line: string): void => {
      if (line.includes("begun") && !line.includes("RUN")) cancel.abort();
    };
    const Dockerfile = `FROM ${BASE_IMAGE}\nRUN echo begun; sleep 60\n`;
    const result = build({ Dockerfile }, { noCache: true, signal: cancel.signal, onLog });
    await expect(result).rejects.toSatisfy((error) => isKedgeError(error, "CANCELLED"));
  });

  it("reads nothing outside the context", async () => {
    const outside = await temporaryFolder();
    try {
      await writeFile(join(outside, "Dockerfile"), `FROM ${BASE_IMAGE}\n`);
      await symlink(join(outside, "Dockerfile"), join(contextDir, "linked"));
      await symlink(outside, join(contextDir, "elsewhere"));
      const attempts: Partial<BuildOptions>[] = [
        { dockerfile: "linked" },
        { dockerfile: `../${basename(outside)}/Dockerfile` },
        { workspace: contextDir, contextDir: join(contextDir, "elsewhere") },
      ];
      for (const attempt of attempts) {
        await expect(build({}, attempt)).rejects.toMatchObject({ reason: "INVALID_FIELD" });
      }
    } finally {
      await rm(outside, { recursive: true });
    }
  });
});
