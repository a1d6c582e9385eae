import { connect } from "node:net";
import { KedgeError } from "@kedge/domain";
import type { TableEntry } from "./backend-tables.ts";
import type { ActualServer, ActualState } from "./plan-commands.ts";
import type { TrackedRequests } from "./silent-failures.ts";

/** HAProxy's table of requests that it began. */
export const TRACKED_TABLE = "begun";
/** HAProxy reads at most one buffer (16 KiB) of commands from a connection at once. */
const LONGEST_LINE = 12_000;
const ANSWER_TIMEOUT_MS = 5_000;
const LARGEST_ANSWER = 64 * 1024 * 1024;
const MAINTENANCE = 0x01 | 0x02;
const DRAIN = 0x08 | 0x10;

const TRACKED = /^0x[0-9a-f]+: key=(\S+) use=(\d+) .*http_req_cnt=(\d+)/gm;

/** What was read of HAProxy's state. */
export interface HaproxyState extends Omit<ActualState, "tables"> {
  readonly tables: readonly (readonly TableEntry[])[];
}

/** HAProxy's runtime API. Every call is a connection of its own. */
export class RuntimeSocket {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Runs commands in order, as one batch unless they do not fit one buffer. The answers come back as they are. */
  async run(commands: readonly string[]): Promise<string> {
    const answers: string[] = [];
    for (const line of linesOf(commands)) answers.push(await exchange(this.#path, line));
    return answers.join("\n");
  }

  /** Process id and layout digest of whoever answers. */
  async identity(): Promise<{ readonly pid: number; readonly digest: string }> {
    const text = await this.run(["show info"]);
    return {
      pid: Number(/^Pid: (\d+)$/m.exec(text)?.[1] ?? 0),
      digest: /^description: kedge-(\w+)$/m.exec(text)?.[1] ?? "",
    };
  }

  /** What HAProxy holds now; of tables, those in these files, in their order. */
  async read(routes: string, tables: readonly string[]): Promise<HaproxyState> {
    const maps = [routes, ...tables];
    const answers = await this.#each([...maps.map((file) => `show map ${file}`), "show servers state"]);
    const [entries, ...rest] = maps.map((_, i) => parseMap(answers[i] ?? ""));
    return { servers: parseServers(answers[maps.length] ?? ""), routes: new Map(entries), tables: rest };
  }

  /** Begins a new version of maps; its number by file. What is not committed is dropped by the next commit. */
  async prepare(files: readonly string[]): Promise<Map<string, number>> {
    const answers = await this.#each(files.map((file) => `prepare map ${file}`));
    return new Map(files.map((file, i) => [file, Number(/\d+/.exec(answers[i] ?? "")?.[0] ?? 0)]));
  }

  /** Answers one by one, of commands whose answers hold no empty line: HAProxy ends each by one. */
  async #each(commands: readonly string[]): Promise<string[]> {
    const answers: string[] = [];
    for (const line of linesOf(commands)) {
      const text = await exchange(this.#path, line);
      let answer = "";
      for (const part of text.split("\n").slice(0, -1)) {
        if (part !== "") {
          answer += `${part}\n`;
          continue;
        }
        answers.push(answer);
        answer = "";
      }
    }
    return answers;
  }

  /** Requests that were begun since HAProxy started, and those under way, by choice or epoch. */
  async tracked(): Promise<Map<string, TrackedRequests>> {
    const tracked = new Map<string, TrackedRequests>();
    for (const [, key, use, count] of (await this.run([`show table ${TRACKED_TABLE}`])).matchAll(TRACKED)) {
      if (key !== undefined) tracked.set(key, { begun: Number(count), underWay: Number(use) });
    }
    return tracked;
  }

  /** Requests that each server is working on, by `backend/server`; idle connections do not count. */
  async sessions(): Promise<Map<string, number>> {
    return parseSessions(await this.run(["show stat -1 4 -1"]));
  }
}

function parseServers(text: string): Map<string, ActualServer> {
  const servers = new Map<string, ActualServer>();
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    const [, backend, , server, host, , admin, weight] = fields;
    if (fields.length < 19 || line.startsWith("#") || host === undefined) continue;
    const flags = Number(admin);
    const state = flags & MAINTENANCE ? "maint" : flags & DRAIN ? "drain" : "ready";
    servers.set(`${backend}/${server}`, { host, port: Number(fields[18]), weight: Number(weight), state });
  }
  return servers;
}

function parseMap(text: string): TableEntry[] {
  const entries: TableEntry[] = [];
  for (const [, key, value] of text.matchAll(/^0x[0-9a-f]+ (\S+) (\S+)$/gm)) {
    if (key !== undefined && value !== undefined) entries.push([key, value]);
  }
  return entries;
}

function parseSessions(text: string): Map<string, number> {
  const lines = text.split("\n");
  const header =
    lines
      .find((line) => line.startsWith("# "))
      ?.slice(2)
      .split(",") ?? [];
  const column = { proxy: header.indexOf("pxname"), server: header.indexOf("svname"), current: header.indexOf("scur") };
  const sessions = new Map<string, number>();
  for (const line of lines) {
    const fields = line.split(",");
    if (line.startsWith("#") || fields.length < header.length - 1 || header.length === 0) continue;
    sessions.set(`${fields[column.proxy]}/${fields[column.server]}`, Number(fields[column.current]));
  }
  return sessions;
}

function linesOf(commands: readonly string[]): string[] {
  const lines: string[] = [];
  let line = "";
  for (const command of commands) {
    if (line !== "" && line.length + command.length + 1 > LONGEST_LINE) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? command : `${line};${command}`;
  }
  return line === "" ? lines : [...lines, line];
}

function exchange(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const socket = connect(path, () => socket.write(`${line}\n`));
    const fail = (cause: unknown) => {
      socket.destroy();
      reject(new KedgeError("GATEWAY_UNAVAILABLE", "HAProxy does not answer on its runtime socket", { cause }));
    };
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => fail(new Error("no answer in time")));
    socket.on("error", fail);
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > LARGEST_ANSWER) fail(new Error("answer too large"));
    });
    socket.on("end", () => {
      socket.destroy();
      resolve(Buffer.concat(chunks).toString("latin1"));
    });
  });
}
