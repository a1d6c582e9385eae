// Builds the images of docker-compose.yml: node deploy/docker/build-images.ts [--registry docker.io/library] [--quiet]
import { parseArgs } from "node:util";
import { errorMessage } from "@kedge/domain";
import { buildImages, IMAGES } from "./images.ts";

const { values } = parseArgs({ options: { registry: { type: "string" }, quiet: { type: "boolean", default: false } } });
const abort = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => abort.abort());
try {
  const onLog = (line: string): void => {
    if (!values.quiet) process.stderr.write(`${line}\n`);
  };
  const { registry } = values;
  await buildImages({ onLog, signal: abort.signal, ...(registry === undefined ? {} : { registry }) });
  process.stdout.write(`${IMAGES.join("\n")}\n`);
} catch (error) {
  process.stderr.write(`error: ${errorMessage(error)}\n`);
  process.exitCode = 1;
}
