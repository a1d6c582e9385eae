// Acked writes per second and latencies over the real server: node -C kedge-source bench/messaging.mjs [always|default]
import { create } from "@bufbuild/protobuf";
import { NodeSchema, TaskRefFullSchema } from "@kedge/proto";
import { claimTask, openStore, startTestBus } from "../src/index.ts";

const syncAlways = process.argv[2] !== "default";
const world = await startTestBus({ syncAlways });
const node = await world.connectNode("n1");
const payload = new Uint8Array(512);
const subject = "kedge.event.bench.x";

async function perSecond(count, inFlight) {
  const from = performance.now();
  let next = 0;
  let acked = 0;
  const worker = async () => {
    while (next++ < count) {
      const { seq } = await world.bus.jetstream.publish(subject, payload);
      if (seq > 0) acked += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  if (acked < count) throw new Error(`only ${acked} of ${count} were acknowledged`);
  return Math.round((count / (performance.now() - from)) * 1000);
}

async function p50(count, act) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const from = performance.now();
    await act(i);
    times.push(performance.now() - from);
  }
  return times.sort((a, b) => a - b)[Math.floor(count / 2)].toFixed(2);
}

try {
  console.log(`server ${world.bus.serverVersion}, sync ${syncAlways ? "always" : "default"}`);
  await perSecond(50, 1);
  for (const inFlight of [1, 16, 64, 256]) {
    console.log(`${inFlight} in flight: ${await perSecond(inFlight === 1 ? 500 : 2000, inFlight)} acked writes/s`);
  }
  const store = openStore(world.bus, { bucket: "nodes", schema: NodeSchema });
  await store.start(new AbortController().signal);
  console.log(`KV create p50 ${await p50(300, (i) => store.create(`k${i}`, create(NodeSchema, { id: `k${i}` })))} ms`);
  const ref = (i) => create(TaskRefFullSchema, { nodeId: "n1", taskId: `t${i}`, runId: "r", job: "j", fence: 1 });
  const claim = async (i) => {
    if ((await claimTask(node.bus, ref(i), "boot")) !== "claimed") throw new Error("claim lost");
  };
  console.log(`claim round trip p50 ${await p50(300, claim)} ms`);
} finally {
  await world.stop();
}
