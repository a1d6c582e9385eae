import { groupsOf } from "./concurrency.ts";
import { type Finding, nearHint, type Path, quote } from "./finding.ts";
import { ancestors, type JobGraph } from "./graph.ts";
import { LIMITS } from "./limits.ts";
import type { Pipeline } from "./pipeline-schema.ts";

/** Gangs by name, each with its jobs in the order of the file. */
type Gangs = ReadonlyMap<string, readonly string[]>;

/**
 * Checks that the jobs of every gang can start together: none waits for another, all wait for the same, and neither
 * their number nor a concurrency group keeps them apart.
 */
export function gangFindings(pipeline: Pipeline, graph: JobGraph): Finding[] {
  const gangs = readGangs(pipeline);
  return [...gangs].flatMap(([gang, members]) => [
    ...sizeFindings(gang, gangs),
    ...members.flatMap((member) => needsFindings(member, members, graph)),
    ...groupFindings(gang, members, pipeline),
  ]);
}

function readGangs({ jobs }: Pipeline): Gangs {
  const gangs = new Map<string, string[]>();
  for (const [job, { gang }] of Object.entries(jobs)) {
    if (gang === undefined) continue;
    const members = gangs.get(gang);
    if (members === undefined) gangs.set(gang, [job]);
    else members.push(job);
  }
  return gangs;
}

const gangPath = (job: string): Path => ["jobs", job, "gang"];

function sizeFindings(gang: string, gangs: Gangs): Finding[] {
  const members = gangs.get(gang) ?? [];
  const [first = ""] = members;
  if (members.length === 1) {
    const others = [...gangs.keys()].filter((it) => it !== gang);
    const message = `the gang ${quote(gang)} has one job only, which starts as it would without`;
    const elsewhere = [...gangs.values()].flat().map(gangPath);
    const hint = () => (others.length > 0 ? nearHint(gang, others) : "name it in the jobs that start together");
    return [{ path: gangPath(first), warning: true, message, others: elsewhere, hint }];
  }
  const excess = members[LIMITS.gangMembers];
  if (excess === undefined) return [];
  const message = `the gang ${quote(gang)} has ${members.length} jobs; at most ${LIMITS.gangMembers} start together`;
  return [{ path: gangPath(excess), message }];
}

function needsFindings(member: string, members: readonly string[], graph: JobGraph): Finding[] {
  const needs = graph.get(member) ?? [];
  const before = ancestors(graph, member);
  const awaited = members.find((it) => before.has(it));
  const place = { path: ["jobs", member, "needs"], atKey: true, others: members.map(gangPath) };
  if (awaited !== undefined) {
    const message = `${quote(member)} waits for ${quote(awaited)}, and both are of one gang, whose jobs start together`;
    return [{ ...place, message, hint: "remove the need, or take one of them out of the gang" }];
  }
  const [first = ""] = members;
  const wanted = graph.get(first) ?? [];
  if (wanted.length === needs.length && wanted.every((need) => needs.includes(need))) return [];
  const message = `the jobs of a gang must need the same, but ${quote(first)} needs ${listed(wanted)} and ${quote(member)} ${listed(needs)}`;
  return [{ ...place, message, hint: "give both the same needs: they start together" }];
}

function listed(jobs: readonly string[]): string {
  if (jobs.length === 0) return "nothing";
  return `${jobs.slice(0, 10).join(", ")}${jobs.length > 10 ? ", ..." : ""}`;
}

/** A gang that is larger than its group starts only if the scheduling policy sets another limit. */
function groupFindings(gang: string, members: readonly string[], pipeline: Pipeline): Finding[] {
  const groups = groupsOf(pipeline);
  const inGroup = new Map<string, string[]>();
  for (const member of members) {
    const { name = "" } = groups.get(member) ?? {};
    if (name !== "") inGroup.set(name, [...(inGroup.get(name) ?? []), member]);
  }
  return [...inGroup].flatMap(([name, jobs]): Finding[] => {
    const [first = ""] = jobs;
    const limit = groups.get(first)?.limit ?? 1;
    if (jobs.length <= limit) return [];
    const message = `${jobs.length} jobs of the gang ${quote(gang)} are in the group ${quote(name)}, which lets ${limit} run at once: they cannot start together`;
    const others = [...members.map(gangPath), ...jobs.map((job) => ["jobs", job, "concurrency"]), ["concurrency"]];
    return [
      { path: gangPath(first), warning: true, message, others, hint: `raise the group's limit to ${jobs.length}` },
    ];
  });
}
