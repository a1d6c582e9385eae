import { execFile } from "node:child_process";
import { access, constants, lstat, readFile, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { KedgeError } from "@kedge/domain";
import type { Pack } from "tar-stream";
import type { ImageStore } from "./image-store.ts";
import { tarStream } from "./tar-stream.ts";

/** What goes into a base image. */
export interface HostBaseImageOptions {
  readonly images: ImageStore;
  /** Replaced when it exists. */
  readonly tag: string;
  /**
   * Programs of the host: names looked up in `searchPath`, or absolute paths. Each lies in /bin of the image under its
   * last name; "busybox" also gives a link for each of its applets, `sh` among them.
   */
  readonly programs: readonly string[];
  /** Further files or links of the host, copied to the same place, e.g. the parts of git in /usr/lib/git-core. */
  readonly files?: readonly string[];
  /** Folders of the host with programs. Default: the usual ones. */
  readonly searchPath?: readonly string[];
}

const SEARCH_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/** Loaded at run time for names of hosts and users, so `ldd` does not name them. */
const NAME_SERVICE = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
const FOLDERS = ["bin", "etc", "lib", "lib64", "root", "tmp", "usr", "var", "workspace"];
const PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";

const run = promisify(execFile);

/**
 * Makes an image from programs of this machine, with the libraries they load, in a second and without a network or a
 * registry: for set-up, demonstrations and tests. The image's id. Fails with `UNSUPPORTED_PLATFORM` for a program
 * that is not here.
 */
export async function buildHostBaseImage(options: HostBaseImageOptions): Promise<string> {
  const programs = await Promise.all(options.programs.map((name) => findProgram(name, options.searchPath)));
  const applets = await busyboxApplets(programs);
  const libraries = await librariesOf([...programs.map(({ file }) => file), ...(options.files ?? [])]);
  const files = [...libraries, ...(options.files ?? [])];
  return options.images.importTar(
    options.tag,
    tarStream((tar) => fill(tar, programs, files, applets)),
  );
}

interface Program {
  readonly name: string;
  readonly file: string;
}

async function findProgram(name: string, searchPath: readonly string[] = SEARCH_PATH): Promise<Program> {
  const candidates = isAbsolute(name) ? [name] : searchPath.map((folder) => join(folder, name));
  for (const candidate of candidates) {
    const found = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return { name: name.slice(name.lastIndexOf("/") + 1), file: await realpath(candidate) };
  }
  throw new KedgeError("UNSUPPORTED_PLATFORM", `the program ${name} is not on this machine`, {
    hint: "install it, or give its absolute path",
  });
}

/** Absolute paths of the shared libraries and the loader; for a static program none. */
async function librariesOf(files: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const file of files) for (const library of await dependencies(file)) found.add(library);
  const folder = dirname([...found].find((path) => path.includes("libc.so")) ?? "");
  for (const name of NAME_SERVICE) {
    if (isAbsolute(folder) && (await isThere(join(folder, name)))) found.add(join(folder, name));
  }
  return [...found];
}

async function dependencies(file: string): Promise<string[]> {
  try {
    const { stdout } = await run("ldd", [file]);
    return [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map((match) => match[1] ?? "");
  } catch {
    return []; // ldd's answer to a static program or a script
  }
}

async function busyboxApplets(programs: readonly Program[]): Promise<string[]> {
  const busybox = programs.find(({ name }) => name === "busybox");
  if (busybox === undefined) return [];
  const { stdout } = await run(busybox.file, ["--list"]);
  const taken = new Set(programs.map(({ name }) => name));
  return stdout.split("\n").filter((name) => name !== "" && !taken.has(name));
}

async function fill(
  tar: Pack,
  programs: readonly Program[],
  files: readonly string[],
  applets: readonly string[],
): Promise<void> {
  for (const name of FOLDERS) tar.entry({ name, type: "directory", mode: name === "tmp" ? 0o1777 : 0o755 });
  tar.entry({ name: "etc/passwd", mode: 0o644 }, PASSWD);
  tar.entry({ name: "etc/group", mode: 0o644 }, "root:x:0:\nnogroup:x:65534:\n");
  tar.entry({ name: "etc/nsswitch.conf", mode: 0o644 }, "hosts: files dns\n");
  for (const name of applets) tar.entry({ name: `bin/${name}`, type: "symlink", linkname: "busybox" });
  tar.entry({ name: "usr/bin", type: "symlink", linkname: "../bin" });
  for (const { name, file } of programs) await addFile(tar, `bin/${name}`, file);
  for (const file of new Set(files)) await addFile(tar, file.slice(1), file);
  if (await isThere(CERTIFICATES)) await addFile(tar, CERTIFICATES.slice(1), CERTIFICATES);
}

/** One file at a time in memory; the largest, node, has 130 MB. */
async function addFile(tar: Pack, name: string, file: string): Promise<void> {
  const body = await readFile(file);
  const { mode } = await lstat(await realpath(file));
  await new Promise<void>((resolve, reject) => {
    tar.entry({ name, mode: mode & 0o777 }, body, (error) => (error ? reject(error) : resolve()));
  });
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
