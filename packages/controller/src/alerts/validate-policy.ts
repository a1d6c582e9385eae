import { isIP } from "node:net";
import {
  assertName,
  baseUrlProblem,
  headerNameProblem,
  headerValueProblem,
  KedgeError,
  patternProblem,
  signingSecretProblem,
  urlProblem,
} from "@kedge/domain";
import {
  type AlertMatcher,
  type AlertPolicy,
  type AlertReceiver,
  type AlertRoute,
  IncidentKind,
  IncidentSeverity,
} from "@kedge/proto";
import { whyRefused } from "./addresses.ts";

const MAX_RECEIVERS = 50;
const MAX_ROUTES = 200;
const MAX_URLS = 8;
const MAX_HEADERS = 8;
const MAX_PATTERNS = 50;
const MAX_PER_MINUTE = 6_000;
const MAX_SPAN_SECONDS = 366 * 86_400;

/** Checks everything but silences, which are not set this way. @throws KedgeError INVALID_FIELD, naming the field. */
export function assertAlertPolicy({ receivers, routes, externalUrl }: AlertPolicy): void {
  assertAtMost("policy.receivers", receivers.length, MAX_RECEIVERS);
  assertAtMost("policy.routes", routes.length, MAX_ROUTES);
  const names = new Set<string>();
  for (const [i, receiver] of receivers.entries()) {
    const field = `policy.receivers[${i}]`;
    assertName("receiver", receiver.name, `${field}.name`);
    if (names.has(receiver.name)) throw invalid(`${field}.name`, `there are two receivers called ${receiver.name}`);
    names.add(receiver.name);
    assertReceiver(receiver, field);
  }
  for (const [i, route] of routes.entries()) assertRoute(route, names, `policy.routes[${i}]`);
  if (externalUrl !== "") assertText("policy.external_url", baseUrlProblem(externalUrl));
}

function assertReceiver({ kind, allowPrivate, maxPerMinute }: AlertReceiver, field: string): void {
  assertAtMost(`${field}.max_per_minute`, maxPerMinute, MAX_PER_MINUTE);
  if (kind.case === undefined) throw invalid(field, `${field} must have one of webhook, slack and alertmanager`);
  const place = `${field}.${kind.case}`;
  if (kind.case === "alertmanager") assertServers(`${place}.urls`, kind.value.urls, allowPrivate);
  else assertUrl(`${place}.url`, kind.value.url, allowPrivate);
  if (kind.case !== "slack") assertHeaders(`${place}.headers`, kind.value.headers);
  if (kind.case === "webhook" && kind.value.signingSecret !== "") {
    assertText(`${place}.signing_secret`, signingSecretProblem(kind.value.signingSecret));
  }
}

function assertServers(field: string, urls: readonly string[], allowPrivate: boolean): void {
  if (urls.length === 0) throw invalid(field, `${field} must name at least one server`);
  assertAtMost(field, urls.length, MAX_URLS);
  for (const [i, url] of urls.entries()) {
    assertText(`${field}[${i}]`, baseUrlProblem(url));
    assertUrl(`${field}[${i}]`, url, allowPrivate);
  }
}

/** Names are looked up when something is sent; an address can be judged now. */
function assertUrl(field: string, url: string, allowPrivate: boolean): void {
  assertText(field, urlProblem(url));
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  const why = isIP(host) === 0 ? undefined : whyRefused(host, allowPrivate);
  if (why !== undefined) throw invalid(field, `${field}: the address is refused: ${why}`);
}

function assertHeaders(field: string, headers: Readonly<Record<string, string>>): void {
  const entries = Object.entries(headers);
  assertAtMost(field, entries.length, MAX_HEADERS);
  for (const [name, value] of entries) {
    assertText(`${field}.${name.slice(0, 80)}`, headerNameProblem(name) ?? headerValueProblem(value));
  }
}

function assertRoute(route: AlertRoute, known: ReadonlySet<string>, field: string): void {
  const { match, receivers, repeatSeconds, minIntervalSeconds, waitSeconds } = route;
  if (receivers.length === 0) throw invalid(`${field}.receivers`, `${field}.receivers must name at least one`);
  assertAtMost(`${field}.receivers`, receivers.length, MAX_RECEIVERS);
  for (const name of receivers) {
    if (known.has(name)) continue;
    throw invalid(
      `${field}.receivers`,
      `${field}.receivers: no receiver is called ${JSON.stringify(name.slice(0, 80))}`,
    );
  }
  assertAtMost(`${field}.repeat_seconds`, repeatSeconds, MAX_SPAN_SECONDS);
  assertAtMost(`${field}.min_interval_seconds`, minIntervalSeconds, MAX_SPAN_SECONDS);
  assertAtMost(`${field}.wait_seconds`, waitSeconds, MAX_SPAN_SECONDS);
  if (match !== undefined) assertMatcher(match, `${field}.match`);
}

/** @throws KedgeError INVALID_FIELD, naming the field. */
export function assertMatcher({ kinds, minSeverity, deployments, nodes }: AlertMatcher, field: string): void {
  assertAtMost(`${field}.kinds`, kinds.length, MAX_PATTERNS);
  if (!kinds.every((kind) => kind !== 0 && IncidentKind[kind] !== undefined)) {
    throw invalid(`${field}.kinds`, `${field}.kinds holds a kind that this controller does not know`);
  }
  if (IncidentSeverity[minSeverity] === undefined) {
    throw invalid(`${field}.min_severity`, `${field}.min_severity is none that this controller knows`);
  }
  for (const [name, patterns] of Object.entries({ deployments, nodes })) {
    assertAtMost(`${field}.${name}`, patterns.length, MAX_PATTERNS);
    for (const [i, pattern] of patterns.entries()) assertText(`${field}.${name}[${i}]`, patternProblem(pattern));
  }
}

/** The text itself is not repeated: it may be a secret. */
function assertText(field: string, problem: string | undefined): void {
  if (problem !== undefined) throw invalid(field, `${field} must be ${problem}`);
}

function assertAtMost(field: string, value: number, most: number): void {
  if (value > most) throw invalid(field, `${field} must be at most ${most}, not ${value}`);
}

function invalid(field: string, message: string): KedgeError {
  return new KedgeError("INVALID_FIELD", message, { field });
}
