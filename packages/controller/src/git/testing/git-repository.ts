import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { runGit } from "@kedge/runtime/git";

/** A real repository on disk with a work tree; `url` is what to fetch from. */
export class GitRepository {
  readonly url: string;
  readonly #root: string;
  readonly #signal = new AbortController().signal;

  private constructor(root: string, url: string) {
    this.#root = root;
    this.url = url;
  }

  /** Makes one that ends in the given path, e.g. "team/shop". Always `remove` it. */
  static async create(path = "team/shop"): Promise<GitRepository> {
    const root = await mkdtemp(join(tmpdir(), "kedge-repository-"));
    const repository = new GitRepository(root, join(root, path));
    await mkdir(repository.url, { recursive: true });
    await repository.git("init", "--quiet", ".");
    // As the forges do.
    await repository.git("config", "uploadpack.allowFilter", "true");
    return repository;
  }

  /** Runs git in it. */
  git(...args: string[]): Promise<string> {
    const name = ["-c", "user.name=somebody", "-c", "user.email=somebody@shop.example"];
    return runGit([...name, ...args], { directory: this.url, signal: this.#signal });
  }

  /** Commits files to the branch that is checked out, and gives the commit. */
  async commit(files: Readonly<Record<string, string>>, message = "a change"): Promise<string> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(this.url, path)), { recursive: true });
      await writeFile(join(this.url, path), text);
    }
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", "-m", message);
    return (await this.git("rev-parse", "HEAD")).trim();
  }

  /** Makes it unreachable, until `show`. */
  hide(): Promise<void> {
    return rename(this.#root, `${this.#root}-hidden`);
  }

  /** Ends `hide`. */
  show(): Promise<void> {
    return rename(`${this.#root}-hidden`, this.#root);
  }

  remove(): Promise<void> {
    return rm(this.#root, { recursive: true, force: true });
  }
}
