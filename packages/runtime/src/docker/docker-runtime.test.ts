import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { isKedgeError } from "@kedge/domain";
import { systemClock as clock, silentLogger as logger } from "@kedge/kernel";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  BASE_IMAGE,
  docker,
  dockerHarness,
  eventually,
  forever,
  type Harness,
  images,
  output,
} from "../testing/harness.ts";
import { connectDocker, probeDocker } from "./connect.ts";
import { containerOptions } from "./container-spec.ts";
import { createContainerAccess } from "./docker-access.ts";
import { createNetworks } from "./docker-networks.ts";
import { resolveDockerOptions } from "./docker-options.ts";
import { createDockerRuntime } from "./docker-runtime.ts";
import { listImages } from "./list-images.ts";

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

  it("asks the engine for exactly the GPUs of the spec", async () => {
    const { script, place } = harness;
    const spec = script("devices", "true", { gpus: ["GPU-b", "GPU-a"], env: { NVIDIA_VISIBLE_DEVICES: "all" } });
    const options = resolveDockerOptions({ docker, clock, logger, instance: place[1] });
    const container = await docker.createContainer(containerOptions(spec, options));
    try {
      const { HostConfig, Config } = await container.inspect();
      expect(HostConfig.DeviceRequests).toMatchObject([
        { Count: 0, DeviceIDs: ["GPU-b", "GPU-a"], Capabilities: [["gpu"]] },
      ]);
      const visible = Config.Env.filter((variable) => variable.includes("VISIBLE_DEVICES")).sort();
      expect(visible).toEqual(["CUDA_VISIBLE_DEVICES=GPU-b,GPU-a", "NVIDIA_VISIBLE_DEVICES=GPU-b,GPU-a"]);
    } finally {
      await container.remove();
    }
  });

  it("hides the host's GPUs from a container that may use none, whatever its image says", async () => {
    const { runtime, script } = harness;
    const env = { NVIDIA_VISIBLE_DEVICES: "all" };
    const print = `echo "$NVIDIA_VISIBLE_DEVICES/\${CUDA_VISIBLE_DEVICES-unset}"`;
    await runtime.start(script("no-gpu", print, { env, gpus: [] }));
    await runtime.start(script("no-say", print, { env }));
    await Promise.all([runtime.wait("no-gpu", forever), runtime.wait("no-say", forever)]);
    expect((await output(runtime, "no-gpu")).stdout).toBe("void/\n");
    expect((await output(runtime, "no-say")).stdout).toBe("all/unset\n");
  });

  it("says that there is no GPU, and leaves nothing behind", async () => {
    const { runtime, script } = harness;
    const start = runtime.start(script("gpu", "true", { gpus: ["GPU-a"] }));
    await expect(start).rejects.toSatisfy((error) => isKedgeError(error, "UNSUPPORTED_PLATFORM"));
    expect((await runtime.list({})).map(({ id }) => id)).not.toContain("gpu");
  });

  it("says that an image cannot be had", async () => {
    const { runtime, script } = harness;
    const start = runtime.start(script("image", "true", { image: "127.0.0.1:1/none:1" }));
    await expect(start).rejects.toSatisfy((error) => isKedgeError(error, "IMAGE_UNAVAILABLE"));
    await expect(runtime.start({ ...script("image", "true"), image: "" })).rejects.toMatchObject({ field: "image" });
  });

  it("lists the names and sizes of the engine's images", async () => {
    const image = await docker.getImage(BASE_IMAGE).inspect();
    const latest = "kedge-runtime-test/latest";
    await docker.getImage(BASE_IMAGE).tag({ repo: latest, tag: "latest" });
    try {
      const found = await listImages("/var/run/docker.sock");
      const own = found.find(({ names }) => names.includes(BASE_IMAGE));
      expect(own?.names).toEqual(expect.arrayContaining([`${latest}:latest`, latest]));
      expect(own?.bytes).toBe(image.Size);
      expect(found.flatMap(({ names }) => names).filter((name) => name.includes("<none>"))).toEqual([]);
    } finally {
      await images.remove(`${latest}:latest`);
    }
    const gone = listImages("/nonexistent/docker.sock");
    await expect(gone).rejects.toSatisfy((error) => isKedgeError(error, "DOCKER_UNAVAILABLE"));
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
      expect(await networks.hostAddress(network)).toMatch(/^\d+\.\d+\.\d+\.1$/);
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

  it("gives containers host names in their network, and a way in", async () => {
    const { runtime, script, place } = harness;
    const networks = createNetworks(docker);
    const network = `kedge-runtime-names-${process.pid}`;
    const access = createContainerAccess(docker, place[1]);
    try {
      await networks.ensure(network, { "kedge.test": network });
      const server = "echo up >/tmp/up; exec busybox httpd -f -p 80 -h /etc";
      await runtime.start(script("named", server, { network, aliases: ["db", "db-1"] }));
      const get = "for name in db db-1; do wget -qO- http://$name/nsswitch.conf || exit 1; done";
      await eventually("the server is up", async () =>
        (await access.exec("named", ["sh", "-c", get], forever)) === 0 ? true : undefined,
      );
      await runtime.start(script("asks", get, { network }));
      expect(await runtime.wait("asks", forever)).toMatchObject({ exitCode: 0 });
      expect(await access.exec("named", ["sh", "-c", "cat /tmp/up && exit 7"], forever)).toBe(7);
      expect([126, 127]).toContain(await access.exec("named", ["no-such-program"], forever));
      expect(await access.address("named", network)).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
      expect(await access.address("named", "bridge")).toBeUndefined();
      expect(await access.address("asks", network)).toBeUndefined();
      const late = access.exec("named", ["sleep", "60"], AbortSignal.timeout(200));
      await expect(late).rejects.toMatchObject({ name: "TimeoutError" });
      await expect(access.exec("asks", ["true"], forever)).rejects.toSatisfy((error) =>
        isKedgeError(error, "CONFLICT"),
      );
      for (const aliases of [["-a"], ["a.b"], ["A"], [""], ["a\nb"]]) {
        const start = runtime.start(script("bad-name", "true", { network, aliases }));
        await expect(start).rejects.toMatchObject({ reason: "INVALID_FIELD", field: "aliases" });
      }
    } finally {
      for (const id of ["named", "asks"]) await runtime.remove(id);
      await networks.remove(network);
    }
  });

  it("gives up a pull when the signal aborts", async () => {
    const { runtime, script } = harness;
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    try {
      await once(silent, "listening");
      const { port } = silent.address() as AddressInfo;
      const spec = script("slow-pull", "true", { image: `127.0.0.1:${port}/none:1` });
      const start = runtime.start(spec, AbortSignal.timeout(300));
      await expect(start).rejects.toSatisfy((error) => isKedgeError(error, "CANCELLED"));
    } finally {
      silent.close();
    }
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
