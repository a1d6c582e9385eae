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
}

/** Writes a model folder: the network from npm, and the example's handler, made worse when asked. */
export async function writeVoiceModel(folder: string, { silero, failsOneIn }: VoiceModelOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  await cp(example, folder, { recursive: true });
  const network = fileURLToPath(import.meta.resolve("@ricky0123/vad-web/package.json"));
  await cp(join(network, `../dist/silero_vad_${silero}.onnx`), join(folder, "model.onnx"));
  if (failsOneIn === undefined) return;
  await cp(join(folder, "handler.mjs"), join(folder, "good.mjs"));
  await writeFile(join(folder, "handler.mjs"), badHandler(failsOneIn));
}

/** Pushes it as a new version; the version's number. */
export async function pushVoiceModel(cluster: Cluster, options: VoiceModelOptions): Promise<number> {
  const folder = join(cluster.folder, `model-${options.silero}-${options.failsOneIn ?? "good"}`);
  await writeVoiceModel(folder, options);
  const { version } = await pushModelFolder(cluster.client, folder, { model: VOICE_MODEL });
  if (version === undefined) throw new Error("no version in the answer");
  return version.version;
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
