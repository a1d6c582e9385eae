import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Deployment, type Rollout, RolloutState } from "@kedge/proto";
import { describeFlagChange } from "@kedge/rollout/flags";
import { POLICY_KEY } from "../scheduling/policy.ts";
import type { Stores } from "../stores.ts";
import type { Change } from "./causes.ts";

/** Older changes are not the cause of what begins now. */
const MEMORY_MS = 3_600_000;
const MAX_NOTED = 200;

const WORDS: Readonly<Partial<Record<RolloutState, string>>> = {
  [RolloutState.PROGRESSING]: "takes traffic",
  [RolloutState.SUCCEEDED]: "promoted",
  [RolloutState.ROLLING_BACK]: "rolled back",
};

/**
 * What was changed of late: rollouts' transitions, flags and enrolled nodes by their documents, the rest as it was noted
 * while this process leads.
 */
export class RecentChanges {
  readonly #stores: Stores;
  #noted: Change[] = [];

  constructor(stores: Stores) {
    this.#stores = stores;
  }

  /** Remembers a change that no document keeps the time of. */
  note(change: Change): void {
    this.#noted = [...this.#noted, change].slice(-MAX_NOTED);
  }

  /** Notes changes of the scheduling policy from now on; the result ends that. */
  follow(now: () => number): () => void {
    return this.#stores.policies.onChange((key) => {
      if (key === POLICY_KEY) this.note({ atMs: now(), what: "scheduling policy changed" });
    });
  }

  /** What happened within the hour before a time, and shortly after it. */
  since(beganAtMs: number, nodesOf: (deployment: string) => readonly string[]): Change[] {
    const changes = [...this.#noted];
    for (const [, { value }] of this.#stores.deployments.entries()) {
      const touched = [...nodesOf(value.name), value.name];
      changes.push(...rolloutChanges(value).map((change) => ({ ...change, touched })));
    }
    for (const [nodeId, { value }] of this.#stores.nodes.entries()) {
      const change = { atMs: msOf(value.enrolledAt), what: `node ${nodeId} joined`, touched: [nodeId] };
      changes.push(change);
    }
    for (const [name, { value }] of this.#stores.flagRecords.entries()) {
      const { at, before, after } = value.change ?? {};
      changes.push({ atMs: msOf(at), what: `flag ${name}: ${describeFlagChange(before, after).join("; ")}` });
    }
    return changes.filter(({ atMs }) => atMs >= beganAtMs - MEMORY_MS);
  }
}

function rolloutChanges({ name, history, rollout }: Deployment): Change[] {
  const rollouts: Rollout[] = rollout === undefined ? history : [...history, rollout];
  return rollouts.flatMap(({ toRevision, transitions }) =>
    transitions.flatMap(({ at, to, from, weightPercent }) => {
      const word = WORDS[to];
      if (word === undefined) return [];
      const share = from === to || to === RolloutState.PROGRESSING ? ` (${weightPercent} %)` : "";
      return [{ atMs: msOf(at), what: `revision ${toRevision} of ${name} ${word}${share}` }];
    }),
  );
}

const msOf = (at: Timestamp | undefined): number => (at === undefined ? 0 : timestampMs(at));
