import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pushModelFolder } from "@kedge/client";
import type { Cluster } from "./cluster.ts";

/** Name of the model that scenarios serve: Silero's voice activity detector. */
export const VOICE_MODEL = "silero-vad";

const example = fileURLToPath(new URL("../../packages/model-server/examples/silero-vad", import.meta.url));

/** What goes into a version. */
export interface VoiceModelOptions {
  readonly silero: "v5" | "v6";
  /** Answers this share of requests with an error: one in so many. */
  readonly failsOneIn?: number;
  /** Answers every request with an error while this file is there. */
  readonly failsWhile?: string;
  /** Pushes values around this, from 0.1 below to 0.1 above, as the metric `score`. */
  readonly score?: number;
}

/** Writes a model folder: the network from npm, and the example's handler, made worse when asked. */
export async function writeVoiceModel(folder: string, options: VoiceModelOptions): Promise<void> {
  const { silero } = options;
  await mkdir(folder, { recursive: true });
  await cp(example, folder, { recursive: true });
  const network = fileURLToPath(import.meta.resolve("@ricky0123/vad-web/package.json"));
  await cp(join(network, `../dist/silero_vad_${silero}.onnx`), join(folder, "model.onnx"));
  const handler = otherHandler(options);
  if (handler === undefined) return;
  await cp(join(folder, "handler.mjs"), join(folder, "good.mjs"));
  await writeFile(join(folder, "handler.mjs"), handler);
}

/** Pushes it as a new version; the version's number. */
export async function pushVoiceModel(cluster: Cluster, options: VoiceModelOptions): Promise<number> {
  const { silero, failsOneIn = "good", score = "unscored", failsWhile } = options;
  const kind = failsWhile === undefined ? "" : "-switched";
  const folder = join(cluster.folder, `model-${silero}-${failsOneIn}-${score}${kind}`);
  await writeVoiceModel(folder, options);
  const { version } = await pushModelFolder(cluster.client, folder, { model: VOICE_MODEL });
  if (version === undefined) throw new Error("no version in the answer");
  return version.version;
}

function otherHandler({ failsOneIn, failsWhile, score }: VoiceModelOptions): string | undefined {
  if (failsWhile !== undefined) return switchedHandler(failsWhile);
  if (failsOneIn !== undefined) return badHandler(failsOneIn);
  return score === undefined ? undefined : scoringHandler(score);
}

function scoringHandler(score: number): string {
  return `import * as good from "./good.mjs";
let seen = 0;
export function predict(request, context) {
  seen += 1;
  context.metrics.observe("score", ${score} - 0.1 + 0.05 * (seen % 5));
  return good.predict(request, context);
}
`;
}

function switchedHandler(file: string): string {
  return `import { existsSync } from "node:fs";
import * as good from "./good.mjs";
export function predict(request, context) {
  if (existsSync(${JSON.stringify(file)})) throw new Error("it went bad");
  return good.predict(request, context);
}
`;
}

/** Passes its warm-up, and fails one request in so many from then on. */
function badHandler(failsOneIn: number): string {
  return `import * as good from "./good.mjs";
let seen = 0;
export function predict(request, context) {
  seen += 1;
  if (seen > 10 && seen % ${failsOneIn} === 0) throw new Error("a bad release");
  return good.predict(request, context);
}
`;
}
