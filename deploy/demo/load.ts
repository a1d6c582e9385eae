import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { systemClock } from "@kedge/kernel";
import type { Answer, LoadReport } from "./load-report.ts";

/** What users got in one part of the story. */
export interface Tally {
  readonly name: string;
  /** Requests sent from here on belong to it; milliseconds since 1970. */
  readonly startedAt: number;
  /** When each request was over. */
  readonly times: number[];
  requests: number;
  failed: number;
  readonly byVersion: Map<string, number>;
  readonly byLabel: Map<string, number>;
  firstFailureAt: number | undefined;
  lastFailureAt: number | undefined;
  sampleFailure: string;
}

/** Live traffic, counted by phase. */
export class Load {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #tallies: Tally[] = [];
  readonly #onAnswer: (answer: Answer) => void;
  #counted = false;
  #onFirstAnswer = (): void => {};
  readonly firstAnswer = new Promise<void>((resolve) => {
    this.#onFirstAnswer = resolve;
  });

  /** @param onAnswer gets every answer as it is reported, counted or not */
  constructor(deployment: string, gateways: readonly string[], onAnswer: (answer: Answer) => void = () => {}) {
    this.#onAnswer = onAnswer;
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
    const startedAt = systemClock.now();
    const times: number[] = [];
    const counts = { requests: 0, failed: 0, byVersion: new Map<string, number>(), byLabel: new Map<string, number>() };
    const tally = {
      name,
      startedAt,
      times,
      ...counts,
      firstFailureAt: undefined,
      lastFailureAt: undefined,
      sampleFailure: "",
    };
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

  /** What comes from here on is not counted any more. */
  endCounting(): void {
    this.#counted = true;
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #take({ answers }: LoadReport): void {
    for (const answer of answers) {
      this.#onAnswer(answer);
      const tally = this.#tallies.findLast(({ startedAt }) => startedAt <= answer.sentAt);
      if (tally !== undefined && !this.#counted) count(tally, answer);
    }
    if (answers.length > 0) this.#onFirstAnswer();
  }
}

function count(tally: Tally, { at, failure, version, label }: Answer): void {
  tally.requests += 1;
  tally.times.push(at);
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
