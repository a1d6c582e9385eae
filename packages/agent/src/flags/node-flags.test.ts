import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@kedge/kernel";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { NodeFlags } from "./node-flags.ts";

describe("the address of a node's flags", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "kedge-node-flags-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  async function start(name: string, bridge?: string): Promise<NodeFlags> {
    const dataDir = join(dir, name);
    await mkdir(dataDir, { recursive: true });
    const bridgeAddress = async (): Promise<string | undefined> => bridge;
    const flags = new NodeFlags({ nodeId: "n1", dataDir, logger: silentLogger, bridgeAddress });
    onTestFinished(() => flags.stop());
    await flags.start();
    return flags;
  }

  /** Status of a question; there are no flags, so that every server says 503. */
  const status = async (url: string | undefined): Promise<number> =>
    (await fetch(`${url}/ofrep/v1/evaluate/flags`, { method: "POST" })).status;

  it("is kept from agent to agent", async () => {
    const first = await start("kept");
    expect(await status(first.url)).toBe(503);
    await first.stop();
    expect((await start("kept")).url).toBe(first.url);
  });

  it("is another one when somebody has taken the port, and that is kept then", async () => {
    const taker = await start("taker");
    const port = await readFile(join(dir, "taker", "flags.port"));
    for (const [name, stored] of [
      ["late", port],
      ["broken", "no port"],
    ] as const) {
      await mkdir(join(dir, name));
      await writeFile(join(dir, name, "flags.port"), stored);
      const late = await start(name);
      expect(late.url).not.toBe(taker.url);
      expect(await status(late.url)).toBe(503);
      await late.stop();
      expect((await start(name)).url).toBe(late.url);
    }
  });

  it("is on the bridge for containers, once it is asked for", async () => {
    const flags = await start("bridged", "127.0.0.2");
    const onBridge = flags.url.replace("127.0.0.1", "127.0.0.2");
    await expect(status(onBridge)).rejects.toThrow();
    const both = await Promise.all([flags.containerUrl(), flags.containerUrl()]);
    expect(both).toEqual([onBridge, onBridge]);
    expect(await status(onBridge)).toBe(503);
  });

  it("is none for containers without a bridge, or with one on another machine", async () => {
    expect(await (await start("no-bridge")).containerUrl()).toBeUndefined();
    expect(await (await start("elsewhere", "192.0.2.1")).containerUrl()).toBeUndefined();
  });
});
