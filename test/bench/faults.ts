import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { informationLimit } from "@kedge/analysis";
import { LOUDNESS } from "../../deploy/demo/callers.ts";
import type { Answer } from "../../deploy/demo/load-report.ts";

export const ALPHA = 0.01;
export const WEIGHT = 0.1;

/** The bad handler fails for frames louder than this; silent ones, every second, are fine. */
const FAILS_ABOVE = 0.51;
const BAD_RATE = LOUDNESS.filter((loudness) => loudness > FAILS_ABOVE).length / LOUDNESS.length / 2;
const LEAST_RATE = 1e-3;
/** Every answer waits for so long, give or take: as a model would that takes some time. */
const MEDIAN_MS = 20;
const SPREAD = 0.3;
const SLOWER = 1.5;
const root = join(import.meta.dirname, "../..");

/** Something that is wrong with a release. */
export interface Fault {
  readonly name: string;
  /** What it must be found by. */
  readonly metric: string;
  /** Changes the sound handler; `number` makes each release another one. */
  readonly spoil: (handler: string, number: number) => string;
  /** Requests in all that any test needs on average, from what was answered. */
  readonly limit: (good: readonly Answer[], bad: readonly Answer[]) => number;
}

/** Failing loudly, slowly, silently. */
export const FAULTS: readonly Fault[] = [
  {
    name: "errors",
    metric: "errors",
    spoil: (handler, number) =>
      `${replace(handler, "data.set(input.data,", "data.set(checked(input.data),")}
function checked(frame) {
  if (frame.some((sample) => Math.abs(sample) > ${FAILS_ABOVE})) throw new Error("bug ${number}");
  return frame;
}
`,
    limit: () => informationLimit({ baselineRate: LEAST_RATE, canaryRate: BAD_RATE, weight: WEIGHT, alpha: ALPHA }),
  },
  {
    name: `latency x ${SLOWER}`,
    metric: "latency",
    spoil: (handler, number) =>
      replace(handler, `await pause(${MEDIAN_MS})`, `await pause(${MEDIAN_MS * SLOWER}); // ${number}`),
    // That of a known shift of known spread, the level unknown.
    limit: () => Math.log(1 / ALPHA) / ((WEIGHT * (1 - WEIGHT) * Math.log(SLOWER) ** 2) / (2 * SPREAD ** 2)),
  },
  {
    name: "predictions: half of the speech is missed",
    metric: "predictions",
    spoil: (handler, number) => replace(handler, '? "speech" :', `&& Math.random() < 0.5 ? "speech" : /* ${number} */`),
    limit: (good, bad) =>
      informationLimit({ baselineRate: speechOf(good), canaryRate: speechOf(bad), weight: WEIGHT, alpha: ALPHA }),
  },
];

/** A folder with the speech model and a handler that takes its time, spoilt if a fault is given. */
export async function modelFolder(dir: string, name: string, fault?: Fault, number = 0): Promise<string> {
  const folder = join(dir, name);
  await mkdir(folder);
  await cp(join(root, "packages/model-server/examples/silero-vad"), folder, { recursive: true });
  await cp(join(root, "node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx"), join(folder, "silero_vad.onnx"));
  const path = join(folder, "handler.mjs");
  const slow = `${replace(await readFile(path, "utf8"), "const outputs = await", `await pause(${MEDIAN_MS});\n  const outputs = await`)}
/** Log-normal, by Box and Muller. */
function pause(median) {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return new Promise((resolve) => setTimeout(resolve, median * Math.exp(${SPREAD} * normal)));
}
`;
  await writeFile(path, fault === undefined ? slow : fault.spoil(slow, number));
  return folder;
}

function speechOf(answers: readonly Answer[]): number {
  const labelled = answers.filter((it) => it.label !== "");
  return labelled.filter((it) => it.label === "speech").length / labelled.length;
}

function replace(text: string, what: string, by: string): string {
  const changed = text.replace(what, () => by);
  if (changed === text) throw new Error(`the handler has no ${JSON.stringify(what)}`);
  return changed;
}
