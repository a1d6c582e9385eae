import { mkdirSync, writeFileSync } from "node:fs";
import { type FileHandle, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
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

const META = "meta.json";

/** Makes a workload's folder; false when it exists. Small synchronous writes: a thread-pool trip each costs more. */
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
export async function readMeta(folder: string): Promise<WorkloadMeta | undefined> {
  const text = await readIfThere(join(folder, META));
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as WorkloadMeta;
  } catch {
    return undefined; // cut off
  }
}

/** The process that signed in as the workload's parent; undefined before it did. */
export async function readProcess(folder: string): Promise<ProcessIdentity | undefined> {
  const text = await readIfThere(join(folder, "process"));
  return text?.endsWith("\n") ? parseStat(text) : undefined;
}

/** The recorded end; undefined before it, and when the folder is being removed. */
export async function readExit(folder: string): Promise<Exit | undefined> {
  const file = await openIfThere(join(folder, "exit"));
  if (file === undefined) return undefined;
  // One handle for both: the folder may go between two looks at its path.
  await using opened = file;
  const text = await opened.readFile("utf8");
  if (!/^\d{1,3}\n$/.test(text)) return undefined;
  const { mtimeMs } = await opened.stat();
  return exitOf(Number.parseInt(text, 10), Math.round(mtimeMs));
}

/** Records an end that the wrapper could not record. Keeps what it did record. */
export async function writeExit(folder: string, exitCode: number): Promise<void> {
  try {
    await writeFile(join(folder, "exit"), `${exitCode}\n`, { flag: "wx", mode: 0o600 });
  } catch (error) {
    const code = errorCode(error);
    if (code !== "EEXIST" && code !== "ENOENT") throw error;
  }
}

/** Removes a workload's folder; one that does not exist is fine. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
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

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
