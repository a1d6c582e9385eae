import type { AlertMatcher, AlertPolicy, AlertRoute, AlertSilence, Incident } from "@kedge/proto";

/** Tells whether a name is what a pattern says, where "*" stands for any text. Takes time in proportion to both. */
export function matchesPattern(pattern: string, name: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return pattern === name;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}

/** Tells whether an incident is one that a matcher means. */
export function matchesIncident(matcher: AlertMatcher | undefined, incident: Incident): boolean {
  if (matcher === undefined) return true;
  const { kinds, minSeverity, deployments, nodes } = matcher;
  const { deployment = "", nodeId = "" } = incident.subject ?? {};
  const named = (patterns: readonly string[], name: string): boolean =>
    patterns.length === 0 || (name !== "" && patterns.some((pattern) => matchesPattern(pattern, name)));
  return (
    (kinds.length === 0 || kinds.includes(incident.kind)) &&
    incident.severity >= minSeverity &&
    named(deployments, deployment) &&
    named(nodes, nodeId)
  );
}

/** The route by which an incident reaches each of its receivers; the first one counts. */
export function routesOf(policy: AlertPolicy, incident: Incident): ReadonlyMap<string, AlertRoute> {
  const found = new Map<string, AlertRoute>();
  for (const route of policy.routes) {
    if (!matchesIncident(route.match, incident)) continue;
    for (const receiver of route.receivers) if (!found.has(receiver)) found.set(receiver, route);
    if (!route.continue) break;
  }
  return found;
}

/** The silence that keeps an incident quiet longest, if any does now. */
export function silenceOf(policy: AlertPolicy, incident: Incident, nowMs: number): AlertSilence | undefined {
  const active = policy.silences.filter(
    (silence) => endMs(silence) > nowMs && matchesIncident(silence.match, incident),
  );
  return active.toSorted((a, b) => endMs(b) - endMs(a))[0];
}

/** When a silence ends, in milliseconds since 1970. */
export function endMs({ endsAt }: AlertSilence): number {
  return Number(endsAt?.seconds ?? 0n) * 1000;
}
