import { OnNewRun } from "@kedge/proto";

/** What of a run counts for the others of its group; runs that called one another count without a group, too. */
export interface Entrant {
  /** Ids grow with time. */
  readonly id: string;
  /** Empty: none. */
  readonly group: string;
  readonly limit: number;
  readonly onNew: OnNewRun;
  /** Blocked runs are in no group: somebody outside must not get ahead of anybody. */
  readonly standing: "queued" | "active" | "blocked";
  /** Run that called it; empty: none. */
  readonly calledBy: string;
}

/** The entrants there are. */
export interface Entrants {
  get(id: string): Entrant | undefined;
  inGroup(group: string): Iterable<Entrant>;
  /** Runs that a run called and waits for. */
  awaited(id: string): Iterable<Entrant>;
}

/** What the group makes of a run. */
export type Turn =
  | { readonly kind: "goes" }
  | { readonly kind: "waits" }
  /** It has to end: a newer run takes its place. */
  | { readonly kind: "gives-way"; readonly to: string };

/**
 * What a run's group makes of it. Oldest first, at most so many at once by the run's own limit; a newer run may ask the
 * older ones to give way. A called run that would wait for something that waits for it goes at once, since nobody could
 * ever move otherwise.
 */
export function turnOf(entrant: Entrant, all: Entrants): Turn {
  if (entrant.group === "" || entrant.standing === "blocked") return { kind: "goes" };
  const successor = [...all.inGroup(entrant.group)].find((other) => isSupersededBy(entrant, other, all));
  if (successor !== undefined) return { kind: "gives-way", to: successor.id };
  if (entrant.standing === "active") return { kind: "goes" };
  const { holders, older } = ahead(entrant, all);
  const isFree = holders.length < Math.max(1, entrant.limit) && older.length === 0;
  return { kind: isFree || waitsForItself(entrant, all) ? "goes" : "waits" };
}

function isSupersededBy(entrant: Entrant, other: Entrant, all: Entrants): boolean {
  if (other.id <= entrant.id || other.standing === "blocked" || isDescendant(other, entrant.id, all)) return false;
  if (other.onNew === OnNewRun.CANCEL_RUNNING) return true;
  return other.onNew === OnNewRun.CANCEL_PENDING && entrant.standing === "queued";
}

/** Ending its own caller would end the run, too. */
function isDescendant(entrant: Entrant, ancestor: string, all: Entrants): boolean {
  const seen = new Set<string>();
  let id = entrant.calledBy;
  while (id !== "" && !seen.has(id)) {
    if (id === ancestor) return true;
    seen.add(id);
    id = all.get(id)?.calledBy ?? "";
  }
  return false;
}

function ahead(entrant: Entrant, all: Entrants): { holders: Entrant[]; older: Entrant[] } {
  const others = [...all.inGroup(entrant.group)].filter(({ id }) => id !== entrant.id);
  return {
    holders: others.filter(({ standing }) => standing === "active"),
    older: others.filter(({ standing, id }) => standing === "queued" && id < entrant.id),
  };
}

/** Whoever waits in a circle waits for a run that was called: only that one has to be let through. */
function waitsForItself(entrant: Entrant, all: Entrants): boolean {
  if (entrant.calledBy === "") return false;
  const seen = new Set<string>();
  const open = waitedFor(entrant, all);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.id === entrant.id) return true;
    if (seen.has(next.id)) continue;
    seen.add(next.id);
    open.push(...waitedFor(next, all));
  }
  return false;
}

function waitedFor(entrant: Entrant, all: Entrants): Entrant[] {
  if (entrant.standing === "active") return [...all.awaited(entrant.id)];
  if (entrant.standing === "blocked") return [];
  const { holders, older } = ahead(entrant, all);
  return [...holders, ...older];
}
