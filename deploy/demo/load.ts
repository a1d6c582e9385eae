import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Answer, LoadReport } from "./load-report.ts";

/** What users got in one part of the story. */
export interface Tally {
  readonly name: string;
  requests: number;
  failed: number;
  readonly byVersion: Map<string, number>;
  readonly byLabel: Map<string, number>;
  /** Milliseconds since 1970. */
  firstFailureAt: number | undefined;
  lastFailureAt: number | undefined;
  sampleFailure: string;
}

/** Live traffic, counted by phase. */
export class Load {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #tallies: Tally[] = [];
  #onFirstAnswer = (): void => {};
  readonly firstAnswer = new Promise<void>((resolve) => {
    this.#onFirstAnswer = resolve;
  });

  constructor(deployment: string, gateways: readonly string[]) {
    this.phase("first model");
    const entry = join(import.meta.dirname, "load-process.ts");
    this.#child = fork(entry, [deployment, ...gateways], {
      execArgv: [],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#ended = new Promise((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.on("message", (message) => this.#take(message as LoadReport));
  }

  /** From here on, answers are counted under this name. */
  phase(name: string): Tally {
    const counts = { requests: 0, failed: 0, byVersion: new Map<string, number>(), byLabel: new Map<string, number>() };
    const tally = { name, ...counts, firstFailureAt: undefined, lastFailureAt: undefined, sampleFailure: "" };
    this.#tallies.push(tally);
    return tally;
  }

  /** All phases so far, oldest first. */
  get tallies(): readonly Tally[] {
    return this.#tallies;
  }

  /** The phase at hand. */
  get current(): Tally {
    const tally = this.#tallies.at(-1);
    if (tally === undefined) throw new Error("no phase");
    return tally;
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #take({ answers }: LoadReport): void {
    for (const answer of answers) count(this.current, answer);
    if (answers.length > 0) this.#onFirstAnswer();
  }
}

function count(tally: Tally, { at, failure, version, label }: Answer): void {
  tally.requests += 1;
  if (failure !== "") {
    tally.failed += 1;
    tally.firstFailureAt ??= at;
    tally.lastFailureAt = at;
    tally.sampleFailure ||= failure;
    return;
  }
  tally.byVersion.set(version, (tally.byVersion.get(version) ?? 0) + 1);
  tally.byLabel.set(label, (tally.byLabel.get(label) ?? 0) + 1);
}
