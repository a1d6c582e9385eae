import { realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage, isKedgeError } from "@kedge/domain";
import { assertFetchable } from "@kedge/runtime/git";
import { StepFailure } from "../step-failure.ts";
import { type Checkout, git, gitCheckout } from "./git-checkout.ts";

/** A folder of a work tree that another repository fills. */
interface Submodule {
  readonly path: string;
  readonly url: string;
  readonly commit: string;
}

const MAX_DEPTH = 10;
const MAX_SUBMODULES = 500;
const GITLINK = /^160000 ([0-9a-f]{40,64}) 0\t(.*)$/s;

/**
 * Checks out the submodules of a checkout, and theirs. Each becomes a repository of its own in its folder, by the same
 * rules as the one around it: git's own command, which believes what `.gitmodules` and `.git/modules` say, is not used.
 *
 * @returns the checkouts, without the given one.
 * @throws StepFailure INVALID for an address that is not http(s), ssh or git, a name with control characters (a CR at its
 *   end: CVE-2025-48384), a folder that is not where it says; also for more than 500 submodules or 10 levels.
 */
export async function checkoutSubmodules(parent: Checkout): Promise<Checkout[]> {
  const done: Checkout[] = [];
  let level: Checkout[] = [parent];
  for (let depth = 0; level.length > 0; depth++) {
    const next: Checkout[] = [];
    for (const checkout of level) {
      const found = await listSubmodules(checkout);
      if (found.length === 0) continue;
      if (depth >= MAX_DEPTH) throw invalid(`they are nested more than ${MAX_DEPTH} deep`);
      if (done.length + next.length + found.length > MAX_SUBMODULES) throw invalid(`more than ${MAX_SUBMODULES}`);
      for (const submodule of found) next.push(await checkoutOne(parent, checkout, submodule));
    }
    done.push(...next);
    level = next;
  }
  return done;
}

async function checkoutOne(root: Checkout, parent: Checkout, { path, url, commit }: Submodule): Promise<Checkout> {
  const directory = join(parent.directory, path);
  // Git has made it with the rest of the work tree.
  if ((await realpath(directory).catch(() => undefined)) !== directory)
    throw invalid(`${shown(path)} is not a folder of its own`);
  // What an earlier step may have left there.
  await rm(join(directory, ".git"), { recursive: true, force: true });
  const credential = sameOrigin(root.repository, url) ? root.credential : { kind: "none" as const };
  const checkout = { ...parent, directory, repository: url, ref: commit, credential, localRepositories: false };
  await gitCheckout(checkout);
  return checkout;
}

async function listSubmodules(checkout: Checkout): Promise<Submodule[]> {
  const entries = (await git(checkout, ["ls-files", "--stage", "-z"], { maxBytes: 256 * 1024 * 1024 })).split("\0");
  const links = entries.flatMap((entry) => {
    const [, commit = "", path = ""] = GITLINK.exec(entry) ?? [];
    return path === "" ? [] : [{ path, commit }];
  });
  if (links.length === 0) return [];
  const urls = await readUrls(checkout);
  return links.flatMap(({ path, commit }) => {
    const url = urls.get(path);
    // Git does the same: a link that no file speaks of is a folder that stays empty.
    return url === undefined ? [] : [{ path, commit, url: absoluteUrl(checkout.repository, url, path) }];
  });
}

/** Addresses by path, as the commit's `.gitmodules` has them. */
async function readUrls(checkout: Checkout): Promise<Map<string, string>> {
  const listed = ["config", "--null", "--no-includes", "--blob", "HEAD:.gitmodules", "--get-regexp", "^submodule\\."];
  const text = await git(checkout, listed).catch((error: unknown) => {
    if (isKedgeError(error, "GIT_FAILED")) return "";
    throw error;
  });
  const named = new Map<string, Map<string, string>>();
  for (const entry of text.split("\0")) {
    const [key = "", ...value] = entry.split("\n");
    const [, name, field] = /^submodule\.(.*)\.(path|url)$/s.exec(key) ?? [];
    if (name === undefined || field === undefined) continue;
    named.set(name, (named.get(name) ?? new Map()).set(field, value.join("\n")));
  }
  const urls = new Map<string, string>();
  for (const [name, fields] of named) {
    const path = fields.get("path");
    const url = fields.get("url");
    if (path === undefined || url === undefined) continue;
    assertPlainPath(path, name);
    urls.set(path, url);
  }
  return urls;
}

function assertPlainPath(path: string, name: string): void {
  const parts = path.split("/");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  const control = /[\u0000-\u001f\u007f]/;
  if (control.test(path) || control.test(name)) throw invalid(`${shown(path)} has control characters`);
  const bad = parts.some((part) => part === "" || part === "." || part === ".." || part.toLowerCase() === ".git");
  if (bad || path.startsWith("-")) throw invalid(`${shown(path)} is no folder of the work tree`);
}

/** As git does it: "./" and "../" are relative to the address of the repository around it. */
function absoluteUrl(parent: string, url: string, path: string): string {
  const absolute = /^\.\.?\//.test(url) ? joinUrl(parent, url) : url;
  try {
    assertFetchable(absolute, "url");
  } catch (error) {
    throw new StepFailure("INVALID", `checkout: submodule ${shown(path)}: ${errorMessage(error)}`, { cause: error });
  }
  if (!absolute.startsWith("/") && !absolute.startsWith("file:")) return absolute;
  throw invalid(`${shown(path)} would be read from the node's own disk; its address must be http(s), ssh or git`);
}

function joinUrl(parent: string, relative: string): string {
  const segments = parent.replace(/\/+$/, "").split("/");
  const rest = relative.split("/");
  while (rest[0] === "." || rest[0] === "..") {
    // The scheme and host stay: "https:", "", "host".
    if (rest.shift() === ".." && segments.length > 3) segments.pop();
  }
  return [...segments, ...rest].join("/");
}

/** The user's credential goes to the host that it was named for, and to no other. */
function sameOrigin(a: string, b: string): boolean {
  const [first, second] = [originOf(a), originOf(b)];
  return first !== undefined && first === second;
}

function originOf(repository: string): string | undefined {
  const scp = /^([^/@]+@[^/:]+):/.exec(repository)?.[1];
  if (scp !== undefined) return `ssh://${scp.split("@")[1]}`;
  if (!URL.canParse(repository)) return undefined;
  const { protocol, host } = new URL(repository);
  return `${protocol}//${host}`;
}

function shown(path: string): string {
  return JSON.stringify(path.slice(0, 200));
}

function invalid(problem: string): StepFailure {
  return new StepFailure("INVALID", `checkout: submodules: ${problem}`);
}
