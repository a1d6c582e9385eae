// The users: sixteen callers who send audio frames to the gateways, in a process of its own.
// `node load-process.ts <deployment> <host:port>...`; tells its parent what came back, ten times a second.
import { Agent, request } from "node:http";
import { systemClock } from "@kedge/kernel";
import { CALLERS, CONVERSATION, INTERVAL_MS, LOUDNESS } from "./callers.ts";
import type { Answer, LoadReport } from "./load-report.ts";
import { frame } from "./project/frames.mjs";

const REPORT_MS = 100;
const TIMEOUT_MS = 5000;

const [deployment = "", ...gateways] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const silent = inputs(0, 0);
const tones = LOUDNESS.map((loudness) => Array.from({ length: CONVERSATION }, (_, i) => inputs(loudness, i)));
let answers: Answer[] = [];

/** A frame as JSON; made once, as making it costs more than sending it. */
function inputs(loudness: number, index: number): string {
  const data = Array.from(frame(loudness, index), (value) => Number(value.toFixed(5)));
  return JSON.stringify([{ name: "input", datatype: "FP32", shape: [1, data.length], data }]);
}

/** One caller: silence and tone by turns, each tone as loud as that person happens to be. */
async function call(caller: number): Promise<void> {
  const gateway = gateways[caller % gateways.length] ?? "";
  await systemClock.sleep((caller * INTERVAL_MS) / CALLERS);
  for (let turn = 0; ; turn++) {
    const startedAt = systemClock.monotonic();
    const index = turn % CONVERSATION;
    const tone = tones[(turn * 17 + caller * 5) % tones.length]?.[index] ?? silent;
    const parameters = JSON.stringify({ sequence_id: `caller-${caller}`, sequence_start: index === 0 });
    const body = `{"parameters":${parameters},"inputs":${turn % 2 === 0 ? silent : tone}}`;
    const answer = await send(gateway, body);
    answers.push(answer);
    await systemClock.sleep(Math.max(1, INTERVAL_MS - (systemClock.monotonic() - startedAt)));
  }
}

function send(gateway: string, body: string): Promise<Answer> {
  const sentAt = systemClock.now();
  const [host = "", port = ""] = gateway.split(":");
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const target = { host, port, path: `/v2/models/${deployment}/infer`, method: "POST", agent, headers };
  return new Promise((resolve) => {
    const fail = (reason: string): void =>
      resolve({ sentAt, at: systemClock.now(), failure: reason, version: "", label: "" });
    const sent = request({ ...target, timeout: TIMEOUT_MS }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", (error) => fail(error.message));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}: ${text.slice(0, 200)}`);
        const label = String(response.headers["kedge-prediction"] ?? "");
        resolve({ sentAt, at: systemClock.now(), failure: "", version: versionOf(text), label });
      });
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
    sent.on("error", (error) => fail(error.message));
    sent.end(body);
  });
}

function versionOf(text: string): string {
  const answer: unknown = JSON.parse(text);
  const isAnswer = typeof answer === "object" && answer !== null && "model_version" in answer;
  return isAnswer ? String(answer.model_version) : "";
}

async function report(): Promise<void> {
  for (;;) {
    await systemClock.sleep(REPORT_MS);
    const message: LoadReport = { answers };
    answers = [];
    process.send?.(message);
  }
}

// The demo's end is ours, however it ends.
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => {});
await Promise.all([report(), ...Array.from({ length: CALLERS }, (_, caller) => call(caller))]);
