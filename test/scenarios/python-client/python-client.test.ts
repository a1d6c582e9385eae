import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { readContexts } from "@kedge/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";

const run = promisify(execFile);
const here = import.meta.dirname;
const protos = join(here, "../../../proto");

describe("a client that Python's grpcio generates from proto/", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder" }]);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("submits a run, follows its logs, approves and hears of errors", async () => {
    const generated = join(cluster.folder, "python");
    await mkdir(generated);
    const files = (await readdir(join(protos, "kedge/v1"))).map((file) => `kedge/v1/${file}`);
    const out = [`--python_out=${generated}`, `--grpc_out=${generated}`];
    const plugin = "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin";
    await run("protoc", [`--proto_path=${protos}`, "--proto_path=/usr/include", plugin, ...out, ...files]);
    const context = (await readContexts(cluster.env)).contexts["local"];
    if (context === undefined) throw new Error("the controller saved no context");
    const ca = join(cluster.folder, "ca.pem");
    await writeFile(ca, context.caPem ?? "");
    const args = [join(here, "client.py"), generated, context.address, ca, join(here, "kedge.yaml")];
    const env = { ...process.env, KEDGE_TOKEN: context.token ?? "" };
    const { stdout } = await run("/usr/bin/python3", args, { env });
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({
      state: "RUN_STATE_SUCCEEDED",
      jobs: { greet: "JOB_STATE_SUCCEEDED", ask: "JOB_STATE_SUCCEEDED", ship: "JOB_STATE_SUCCEEDED" },
      outputs: { greet: { greeted: "Python" } },
      log: "hello Python\nshipped\n",
      refused: "NOT_FOUND",
    });
    const { run: stored } = await cluster.client.runs.getRun({ runId: told.id });
    expect(stored?.jobs.find((job) => job.spec?.name === "ask")?.decisions).toMatchObject([{ comment: "from Python" }]);
  });
});
