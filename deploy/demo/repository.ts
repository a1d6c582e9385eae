import { execFile } from "node:child_process";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse, stringify } from "yaml";

/** A commit as a run wants it. */
export interface Commit {
  readonly repository: string;
  readonly commit: string;
  readonly message: string;
}

/** Where the parts of the project come from. */
export interface RepositoryOptions {
  /** This repository. */
  readonly root: string;
  /** Made here. */
  readonly folder: string;
  readonly docker: boolean;
}

const run = promisify(execFile);
const AUTHOR = { name: "Kedge demo", email: "demo@kedge.invalid" };
const PROJECT_FILES = ["kedge.yaml", "frames.mjs", "handler.test.mjs", "count-tests.mjs", "evaluate.mjs"];
const IMAGE_FILES = ["Dockerfile", "smoke.mjs"];

/** A git repository with a speech model, as a team would keep it. */
export class Repository {
  readonly #options: RepositoryOptions;

  constructor(options: RepositoryOptions) {
    this.#options = options;
  }

  /** A Silero model file, as npm brought it. */
  static modelFile(root: string, version: "v5" | "v6"): string {
    return join(root, `node_modules/@ricky0123/vad-web/dist/silero_vad_${version}.onnx`);
  }

  /** Fills a model folder: the model, its handler, its settings. */
  static async writeModel(root: string, folder: string, version: "v5" | "v6"): Promise<void> {
    await mkdir(folder, { recursive: true });
    await cp(join(root, "packages/model-server/examples/silero-vad"), folder, { recursive: true });
    await cp(Repository.modelFile(root, version), join(folder, "silero_vad.onnx"));
  }

  /** The first commit: Silero v6 with its tests, evaluation and pipeline. */
  async commitGood(): Promise<Commit> {
    const { root, folder, docker } = this.#options;
    await mkdir(folder, { recursive: true });
    await this.#git("init", "--quiet", "--initial-branch=main");
    const files = docker ? [...PROJECT_FILES, ...IMAGE_FILES] : PROJECT_FILES;
    for (const file of files) await cp(join(import.meta.dirname, "project", file), join(folder, file));
    if (!docker) await this.#leaveOutImages();
    await Repository.writeModel(root, join(folder, "model"), "v6");
    return this.#commit("Upgrade the voice detector to Silero v6");
  }

  /** The second commit: a handler that fails for loud callers. Its tests are all about quiet ones. */
  async commitBad(): Promise<Commit> {
    const { folder } = this.#options;
    const path = join(folder, "model/handler.mjs");
    await cp(join(import.meta.dirname, "project/automatic-gain.mjs"), join(folder, "model/automatic-gain.mjs"));
    const before = await readFile(path, "utf8");
    const changed = before.replace(
      "data.set(input.data, CONTEXT_SAMPLES)",
      "data.set(evenOut(input.data), CONTEXT_SAMPLES)",
    );
    if (changed === before) throw new Error("the handler has no line to change");
    await writeFile(path, `import { evenOut } from "./automatic-gain.mjs";\n\n${changed}`);
    return this.#commit("Make quiet callers louder");
  }

  /** The pipeline's text as it is committed. */
  async pipeline(): Promise<string> {
    return readFile(join(this.#options.folder, "kedge.yaml"), "utf8");
  }

  async #leaveOutImages(): Promise<void> {
    const path = join(this.#options.folder, "kedge.yaml");
    const pipeline = parse(await readFile(path, "utf8"));
    delete pipeline.jobs.image;
    delete pipeline.jobs.test.image;
    pipeline.jobs.quality.needs = ["evaluate"];
    await writeFile(path, stringify(pipeline, { lineWidth: 0 }));
  }

  async #commit(message: string): Promise<Commit> {
    await this.#git("add", "--all");
    await this.#git("commit", "--quiet", "--no-gpg-sign", "--no-verify", "-m", message);
    const commit = (await this.#git("rev-parse", "HEAD")).trim();
    return { repository: this.#options.folder, commit, message };
  }

  /** Git with nothing of the person's own settings, and a fixed author. */
  async #git(...args: string[]): Promise<string> {
    const { name, email } = AUTHOR;
    const people = {
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
    };
    const config = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
    const env = { PATH: process.env["PATH"] ?? "", HOME: this.#options.folder, ...people, ...config };
    return (await run("git", args, { cwd: this.#options.folder, env })).stdout;
  }
}
