import { isKedgeError } from "@kedge/domain";
import { systemClock as clock, silentLogger as logger } from "@kedge/kernel";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BASE_IMAGE, docker, dockerHarness, forever, type Harness, images, output } from "../testing/harness.ts";
import { connectDocker, probeDocker } from "./connect.ts";
import { createNetworks } from "./docker-networks.ts";
import { createDockerRuntime } from "./docker-runtime.ts";

describe("the docker runtime's own", () => {
  let harness: Harness;

  beforeAll(async () => {
    harness = await dockerHarness();
  });
  afterAll(() => harness.close());

  it("limits memory, CPU and processes and takes capabilities away", async () => {
    const { runtime, script, place } = harness;
    const limits = { memoryMib: 64, cpuMilli: 500, pids: 32 };
    await runtime.start(script("limits", "grep -E 'CapBnd|NoNewPrivs' /proc/self/status", { limits }));
    await runtime.wait("limits", forever);
    const { HostConfig } = await docker.getContainer(`kedge_${place[1]}_limits`).inspect();
    expect(HostConfig).toMatchObject({ Memory: 64 * 2 ** 20, MemorySwap: 64 * 2 ** 20, NanoCpus: 5e8, PidsLimit: 32 });
    // CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID: bits 0, 1, 3, 6, 7 of capabilities(7).
    expect((await output(runtime, "limits")).stdout).toBe("CapBnd:\t00000000000000cb\nNoNewPrivs:\t1\n");
  });

  it("says that a workload used too much memory", async () => {
    const { runtime, script } = harness;
    const grow = "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done";
    await runtime.start(script("oom", grow, { limits: { memoryMib: 16 } }));
    expect(await runtime.wait("oom", forever)).toMatchObject({ exitCode: 137, outOfMemory: true });
  });

  it("says that there is no GPU, and leaves nothing behind", async () => {
    const { runtime, script } = harness;
    const start = runtime.start(script("gpu", "true", { gpu: { count: 1 } }));
    await expect(start).rejects.toSatisfy((error) => isKedgeError(error, "UNSUPPORTED_PLATFORM"));
    expect((await runtime.list({})).map(({ id }) => id)).not.toContain("gpu");
  });

  it("says that an image cannot be had", async () => {
    const { runtime, script } = harness;
    const start = runtime.start(script("image", "true", { image: "127.0.0.1:1/none:1" }));
    await expect(start).rejects.toSatisfy((error) => isKedgeError(error, "IMAGE_UNAVAILABLE"));
    await expect(runtime.start({ ...script("image", "true"), image: "" })).rejects.toMatchObject({ field: "image" });
  });

  it("says that the engine does not answer", async () => {
    const gone = connectDocker("/nonexistent/docker.sock");
    const runtime = createDockerRuntime({ docker: gone, instance: "gone", clock, logger });
    for (const call of [probeDocker(gone), runtime.list({}), runtime.start(harness.script("gone", "true"))]) {
      await expect(call).rejects.toSatisfy((error) => isKedgeError(error, "DOCKER_UNAVAILABLE"));
    }
    expect((await probeDocker(docker)).cpus).toBeGreaterThan(0);
  });

  it("does not see another instance's containers", async () => {
    const { runtime, script } = harness;
    await runtime.start(script("mine", "true"));
    const other = createDockerRuntime({ docker, instance: `${harness.place[1]}-other`, clock, logger });
    expect(await other.list({})).toEqual([]);
    await expect(other.wait("mine", forever)).rejects.toSatisfy((error) => isKedgeError(error, "INVALID_FIELD"));
    await other.remove("mine");
    expect((await runtime.list({})).map(({ id }) => id)).toContain("mine");
  });

  it("lets the containers of a network find each other", async () => {
    const { runtime, script } = harness;
    const networks = createNetworks(docker);
    const network = `kedge-runtime-test-${process.pid}`;
    const labels = { "kedge.test": network };
    try {
      await Promise.all([networks.ensure(network, labels), networks.ensure(network, labels)]);
      await networks.ensure(network, labels);
      expect(await networks.list(labels)).toEqual([network]);
      await runtime.start(script("server", "exec busybox httpd -f -p 80 -h /etc", { network }));
      const name = `kedge_${harness.place[1]}_server`;
      const get = `for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://${name}/nsswitch.conf && exit; sleep 0.2; done; exit 1`;
      await runtime.start(script("client", get, { network }));
      expect(await runtime.wait("client", forever)).toMatchObject({ exitCode: 0 });
      await expect(networks.remove(network)).rejects.toSatisfy((error) => isKedgeError(error));
    } finally {
      await runtime.remove("server");
      await runtime.remove("client");
      await networks.remove(network);
      await networks.remove(network);
    }
    expect(await networks.list(labels)).toEqual([]);
  });

  it("starts with the image's own command when there is none", async () => {
    const { runtime, script } = harness;
    await docker.getImage(BASE_IMAGE).inspect();
    expect(await images.find(BASE_IMAGE)).toMatch(/^sha256:/);
    expect(await images.find("kedge-runtime-test/none:1")).toBeUndefined();
    const start = runtime.start({ ...script("own", ""), command: [] });
    await expect(start).rejects.toSatisfy((error) => isKedgeError(error, "INVALID_FIELD"));
  });
});
