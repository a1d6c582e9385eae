import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { exitOf } from "../exit-code.ts";
import type { Exit } from "../runtime.ts";
import { type ProcessIdentity, parseStat } from "./process-stat.ts";

/** What is written down before a workload's process is started. */
export interface WorkloadMeta {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly startedAtMs: number;
  readonly bootId: string;
  readonly hostPort?: number;
}

// All of these are a few bytes in the page cache: a trip to the thread pool costs several times what the call does.
const META = "meta.json";

/** Makes a workload's folder; false when it exists. */
export function createFolder(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Writes the meta file; not synced, as no process survives a crash of the machine. */
export function writeMeta(folder: string, meta: WorkloadMeta): void {
  writeFileSync(join(folder, META), JSON.stringify(meta), { mode: 0o600 });
}

/** The meta file; undefined when there is none or its writer was killed half-way: no process was started then. */
export function readMeta(folder: string): WorkloadMeta | undefined {
  const text = readIfThere(join(folder, META));
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as WorkloadMeta;
  } catch {
    return undefined; // cut off
  }
}

/** The process that signed in as the workload's parent; undefined before it did. */
export function readProcess(folder: string): ProcessIdentity | undefined {
  const text = readIfThere(join(folder, "process"));
  return text?.endsWith("\n") ? parseStat(text) : undefined;
}

/** The recorded end; undefined before it, and when the folder is being removed. */
export function readExit(folder: string): Exit | undefined {
  const file = openIfThere(join(folder, "exit"));
  if (file === undefined) return undefined;
  // One descriptor for both: the folder may go between two looks at its path.
  try {
    const text = readFileSync(file, "utf8");
    if (!/^\d{1,3}\n$/.test(text)) return undefined;
    return exitOf(Number.parseInt(text, 10), Math.round(fstatSync(file).mtimeMs));
  } finally {
    closeSync(file);
  }
}

/** Records an end that the wrapper could not record. Keeps what it did record. */
export function writeExit(folder: string, exitCode: number): void {
  try {
    writeFileSync(join(folder, "exit"), `${exitCode}\n`, { flag: "wx", mode: 0o600 });
  } catch (error) {
    const code = errorCode(error);
    if (code !== "EEXIST" && code !== "ENOENT") throw error;
  }
}

/** Removes a workload's folder; one that does not exist is fine. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Names in a folder; empty when it does not exist. */
export async function folderNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
