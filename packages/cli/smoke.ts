import { startController } from "@kedge/controller";
import { startAgent, joinNode } from "@kedge/agent";
import { MODEL_SERVER_ENTRY } from "@kedge/model-server";
import { createLogger } from "@kedge/kernel";
import { createKedgeClient } from "@kedge/client";
import { RunState, JobState } from "@kedge/proto";
import { parseDeployment } from "@kedge/pipeline";
import { mkdirSync, cpSync } from "node:fs";
const ac = new AbortController();
const logger = createLogger({name:"c", level: "info"});
const c = await startController({ dataDir: "/tmp/smoke-kedge", listen: "127.0.0.1:0", natsListen: "127.0.0.1:0", httpListen: "127.0.0.1:0", logger, env: process.env }, ac.signal);
const k = createKedgeClient({ address: c.address, caPem: c.caPem, token: c.adminToken });
const token = (await k.nodes.createJoinToken({ uses: 4 })).token;
const agents = [];
for (const n of ["build-1", "edge-1"]) {
  await joinNode({ token, nodeId: n, dataDir: "/tmp/smoke-" + n, labels: { role: n.split("-")[0] } });
  agents.push(await startAgent({ dataDir: "/tmp/smoke-" + n, modelServerEntry: MODEL_SERVER_ENTRY, logger: createLogger({name:n}) }));
}
await new Promise(r => setTimeout(r, 1500));
for (const n of (await k.nodes.listNodes({})).nodes) console.log(n.id, n.state, n.capacity?.cpuMilli, n.runtimes, n.gatewayAddress);
const src = `name: hello
jobs:
  a:
    runs-on: { role: build }
    steps:
      - run: echo hello; echo '{"acc":0.93}' > m.json
        metrics: m.json
  g:
    needs: [a]
    gate: [ { metric: acc, at-least: 0.9 } ]
`;
for (let i = 0; i < 3; i++) {
const t = performance.now();
const { run } = await k.runs.submitRun({ pipeline: { case: "pipelineSource", value: src } });
console.log("submitted", performance.now() - t);
for await (const u of k.runs.watchRun({ runId: run!.id })) console.log((performance.now() - t).toFixed(0), RunState[u.run!.state], u.run!.jobs.map(j => j.spec!.name + ":" + JobState[j.state] + " " + j.reason));
for await (const l of k.runs.streamLogs({ runId: run!.id })) console.log("log", l.job, Buffer.from(l.chunk!.data).toString().trim());
}
// model
const dir = "/tmp/smoke-model"; mkdirSync(dir, { recursive: true });
cpSync("node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx", dir + "/model.onnx");
cpSync("packages/model-server/examples/silero-vad/handler.mjs", dir + "/handler.mjs");
cpSync("packages/model-server/examples/silero-vad/model.json", dir + "/model.json");
let t = performance.now();
const p = await k.pushModelFolder(dir, { model: "silero-vad" });
console.log("pushed", p.version?.version, p.version?.manifest?.signature?.inputs.map(i => `${i.name}:${i.datatype}[${i.shape}]`), performance.now() - t);
const { spec, diagnostics } = parseDeployment(`deployment: vad\nmodel: silero-vad\nversion: 1\non: { role: edge }\nreplicas-per-node: 1\nresources: { cpu: 100m, memory: 200Mi }\n`);
console.log(diagnostics);
t = performance.now();
await k.deployments.applyDeployment({ spec: spec! });
const gw = (await k.nodes.getNode({ nodeId: "edge-1" })).node!.gatewayAddress;
for await (const d of k.deployments.watchDeployment({ name: "vad" })) {
  const r = d.deployment!.rollout; console.log((performance.now()-t).toFixed(0), r?.state, r?.transitions.at(-1)?.reason, d.deployment!.replicas.map(x => x.state + x.message), d.deployment!.route?.splits.map(s=>s.revision+":"+s.basisPoints));
  if (r?.state === 5 || performance.now() - t > 30000) break;
}
const body = JSON.stringify({ inputs: [{ name: "input", datatype: "FP32", shape: [1, 512], data: new Array(512).fill(0) }] });
const res = await fetch(`http://${gw}/v2/models/vad/infer`, { method: "POST", headers: { "content-type": "application/json" }, body });
console.log(res.status, res.headers.get("kedge-prediction"), (await res.text()).slice(0, 200));
k.close();
for (const a of agents) await a.stop();
await c.stop();
