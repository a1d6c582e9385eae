import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Logger } from "@kedge/kernel";
import { type LocalDecision, LocalDecisionSchema } from "@kedge/proto";
import { writeFileAtomicSync } from "../state/atomic-file.ts";

/** Ids of rollouts, which become file names. */
const ROLLOUT_ID = /^[a-z0-9-]{1,128}$/;

/**
 * The decisions that this node took alone and that the controller has not merged yet, by rollout. On disk before anything
 * follows from them, so that no end of the agent undoes one. The folder is the agent's own.
 */
export class HeldDecisions {
  readonly #dir: string;
  readonly #logger: Logger;
  readonly #byRollout = new Map<string, LocalDecision>();

  constructor(dir: string, logger: Logger) {
    this.#dir = dir;
    this.#logger = logger;
  }

  get all(): readonly LocalDecision[] {
    return [...this.#byRollout.values()];
  }

  /** Reads what an earlier process held. A file that cannot be read holds nothing. */
  load(): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#dir).filter((each) => ROLLOUT_ID.test(each))) {
      try {
        this.#byRollout.set(name, fromBinary(LocalDecisionSchema, readFileSync(join(this.#dir, name))));
      } catch (error) {
        this.#logger.error({ err: error, rolloutId: name }, "a decision of this node cannot be read, it is dropped");
      }
    }
  }

  has(rolloutId: string): boolean {
    return this.#byRollout.has(rolloutId);
  }

  of(deployment: string): LocalDecision[] {
    return this.all.filter((decision) => decision.deployment === deployment);
  }

  /** Holds on to a decision from now on, through restarts if the disk allows it. */
  hold(decision: LocalDecision): void {
    const { rolloutId } = decision;
    this.#byRollout.set(rolloutId, decision);
    if (!ROLLOUT_ID.test(rolloutId)) return;
    try {
      writeFileAtomicSync(join(this.#dir, rolloutId), toBinary(LocalDecisionSchema, decision));
    } catch (error) {
      this.#logger.error({ err: error, rolloutId }, "a decision of this node is not on disk, a restart forgets it");
    }
  }

  /** Lets go of a decision for good. */
  release(rolloutId: string): void {
    if (this.#byRollout.delete(rolloutId)) rmSync(join(this.#dir, rolloutId), { force: true });
  }
}
