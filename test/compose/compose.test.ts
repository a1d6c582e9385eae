import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import {
  createKedgeClient,
  followLogs,
  type KedgeClient,
  type KedgeContext,
  logLines,
  readContexts,
  saveContext,
  submitAndWait,
} from "@kedge/client";
import { NodeState, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { buildImages } from "../../deploy/docker/images.ts";
import { readComposeFile } from "./compose-file.ts";
import { ComposeProject } from "./compose-project.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const SET_UP_MS = 240_000;
const NODES = ["build-1", "edge-1", "edge-2"];
const PIPELINE = `
name: hello
jobs:
  build:
    runs-on: { role: build }
    steps: [{ run: "echo built by $(id -u); git --version" }]
  edge:
    needs: [build]
    runs-on: { role: edge, zone: b }
    steps: [{ run: "echo seen at the edge" }]
`;

const file = readComposeFile(await readFile(join(ROOT, "docker-compose.yml"), "utf8"));
const project = new ComposeProject(file);
let folder = "";
let context: KedgeContext;
let client: KedgeClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-compose-"));
  await buildImages({ onLog: () => {}, signal: AbortSignal.timeout(SET_UP_MS) });
  await project.up();
  context = await adminContext();
  client = createKedgeClient(context);
}, SET_UP_MS);

afterAll(async () => {
  client?.close();
  await project.down();
  await rm(folder, { recursive: true, force: true });
  expect(await project.leftovers()).toEqual({ containers: 0, volumes: 0, networks: 0 });
}, 120_000);

/** The administrator's context, from inside the controller, at the port it is published on. */
async function adminContext(): Promise<KedgeContext> {
  const controller = project.container("controller");
  const { output } = await controller.exec(["cat", "/var/lib/kedge/context.json"]);
  const inside: { contexts: { local: KedgeContext } } = JSON.parse(output);
  const address = `127.0.0.1:${controller.getMappedPort(7460)}`;
  const outside = { ...inside.contexts.local, address };
  await saveContext("compose", outside, { KEDGE_CONFIG: join(folder, "config.json") });
  return outside;
}

function nodesReady(): Promise<void> {
  return vi.waitFor(
    async () => {
      const { nodes } = await client.nodes.listNodes({});
      const states = Object.fromEntries(nodes.map(({ id, state }) => [id, NodeState[state]]));
      expect(states).toEqual({ "build-1": "READY", "edge-1": "READY", "edge-2": "READY" });
    },
    { timeout: 30_000, interval: 200 },
  );
}

describe("docker-compose.yml", () => {
  test("publishes on this machine only and gives no service more rights than it needs", () => {
    for (const { name, ports, capDrop, securityOpt, volumes } of file.services) {
      expect({ name, capDrop, securityOpt }).toEqual({
        name,
        capDrop: ["ALL"],
        securityOpt: ["no-new-privileges:true"],
      });
      expect(ports.filter(({ hostIp }) => hostIp !== "127.0.0.1")).toEqual([]);
      const keepsKeys = volumes.some(({ volume }) => volume === "controller-data");
      expect(keepsKeys).toBe(["nats-config", "controller", "join-token"].includes(name));
    }
  });

  test("nothing runs as root, and the join token is its owner's alone", async () => {
    for (const name of ["nats", "controller", ...NODES]) {
      const { output } = await project.container(name).exec(["id", "-u"]);
      expect({ name, uid: output.trim() }).toEqual({ name, uid: "10001" });
    }
    const { output } = await project.container("edge-1").exec(["stat", "-c", "%a %u", "/run/kedge/join/token"]);
    expect(output.trim()).toBe("600 10001");
  });

  test("all nodes become ready", nodesReady);

  test("a run submitted from the host goes through the agents, with its logs", async () => {
    const signal = AbortSignal.timeout(40_000);
    const run = await submitAndWait(client, { pipeline: { case: "pipelineSource", value: PIPELINE } }, { signal });
    const lines: string[] = [];
    for await (const { job, text } of logLines(followLogs(client, { runId: run.id, signal }))) {
      lines.push(`${job}: ${text}`);
    }
    expect({ state: RunState[run.state], lines }).toEqual({
      state: "SUCCEEDED",
      lines: expect.arrayContaining([
        "build: built by 10001",
        expect.stringContaining("build: git version"),
        "edge: seen at the edge",
      ]),
    });
  });

  test("kedge get nodes works from the host and inside", async () => {
    const env = { ...process.env, KEDGE_CONFIG: join(folder, "config.json") };
    expect((await readContexts(env)).current).toBe("compose");
    const command = [join(ROOT, "packages/cli/bin/kedge.mjs"), "get", "nodes"];
    const { stdout } = await promisify(execFile)(process.execPath, command, { env });
    const { output } = await project.container("controller").exec(["kedge", "get", "nodes"]);
    for (const node of NODES) {
      expect(stdout).toContain(node);
      expect(output).toContain(node);
    }
  });

  test("an agent that is started again needs no token", async () => {
    await project.container("edge-1").restart();
    await nodesReady();
  });
});
