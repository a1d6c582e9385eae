import { cp, mkdir, readdir, readFile, realpath, rm, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { KedgeError } from "@kedge/domain";

const OWN_FILES = ["package.json", "dist"];
/** The command, and generated code; few packages have either. */
const RARE_FILES = ["bin", "gen"];
/** Needed to develop, not to run. */
const LEFT_OUT = /\.(map|md|markdown|tsbuildinfo|d\.[cm]?ts|test\.js|test\.d\.ts)$|\/prebuilds\/(darwin|win32)/;
/** onnxruntime-node brings its library for every system. */
const FOREIGN_RUNTIME = /\/onnxruntime-node\/bin\/napi-v\d+\/(?!linux(\/x64|$))/;

/**
 * Fills a folder with what runs: the built packages that the `kedge` command reaches through production dependencies,
 * and those dependencies, laid out as in the repository. What was in the folder is removed.
 *
 * @throws KedgeError INVALID_OPTION when a package is not built or not installed.
 */
export async function stageContext(root: string, target: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await mkdir(join(target, "node_modules/@kedge"), { recursive: true });
  for (const folder of await productionPackages(root, join(root, "packages/cli"))) {
    const place = relative(root, folder);
    if (place.startsWith("node_modules/") || place.includes("/node_modules/")) {
      await copy(folder, join(target, place), join(folder, "node_modules"));
    } else {
      await copyOwn(folder, join(target, place));
      await symlink(join("../..", place), join(target, "node_modules/@kedge", place.slice("packages/".length)));
    }
  }
}

/** Folders of a package and of all it needs at run time. */
async function productionPackages(root: string, start: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const queue = [start];
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    if (found.has(folder)) continue;
    found.add(folder);
    const manifest: Manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const { dependencies = {}, optionalDependencies = {} } = manifest;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const path = await resolvePackage(root, folder, name);
      if (path !== undefined) queue.push(path);
      else if (!(name in optionalDependencies)) {
        throw new KedgeError("INVALID_OPTION", `${name}, which ${folder} needs, is not installed; run npm ci`);
      }
    }
  }
  return found;
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Looks where Node would, from a package's folder up to the repository's root. */
async function resolvePackage(root: string, from: string, name: string): Promise<string | undefined> {
  for (let folder = from; folder.startsWith(root); folder = dirname(folder)) {
    const path = await realpath(join(folder, "node_modules", name)).catch(() => undefined);
    if (path !== undefined) return path;
  }
  return undefined;
}

async function copyOwn(folder: string, target: string): Promise<void> {
  for (const name of OWN_FILES) {
    await copy(join(folder, name), join(target, name)).catch((cause: unknown) => {
      throw new KedgeError("INVALID_OPTION", `${folder} has no ${name}; run npm run build`, { cause });
    });
  }
  const present = (await readdir(folder)).filter((name) => RARE_FILES.includes(name));
  for (const name of present) await copy(join(folder, name), join(target, name));
}

function copy(source: string, target: string, leftOut?: string): Promise<void> {
  const filter = (path: string): boolean =>
    path !== leftOut && !LEFT_OUT.test(path) && !FOREIGN_RUNTIME.test(path) && !path.endsWith("/.bin");
  return cp(source, target, { recursive: true, filter, verbatimSymlinks: true });
}
