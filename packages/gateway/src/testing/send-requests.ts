import { Agent, request } from "node:http";

/** Sends requests, eight at once, and fails unless all are answered 200: `send-requests.ts <host:port> <count>`. */
const [address = "", count = "0"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
let left = Number(count);

function send(): Promise<void> {
  return new Promise((resolve, reject) => {
    const req = request(`http://${address}/v2/models/m/infer`, { agent }, (res) => {
      if (res.statusCode !== 200) reject(new Error(`status ${res.statusCode}`));
      res.resume();
      res.on("end", resolve);
    });
    req.on("error", reject);
    req.end();
  });
}

async function worker(): Promise<void> {
  while (left-- > 0) await send();
}

await Promise.all(Array.from({ length: 8 }, worker));
agent.destroy();
