import type { AlertMatcher, AlertPolicy, AlertReceiver, AlertRoute } from "@kedge/proto";
import { stringify } from "yaml";
import { INCIDENT_KINDS, INCIDENT_SEVERITIES } from "./alert-policy-schema.ts";
import { formatDuration } from "./quantities.ts";

/**
 * A policy as the file that `parseAlertPolicy` reads back to the same policy. What has its default is left out, and so
 * are silences, which no file holds.
 */
export function formatAlertPolicy({ receivers, routes, externalUrl }: AlertPolicy): string {
  const tree = {
    ...(externalUrl === "" ? {} : { "external-url": externalUrl }),
    ...(receivers.length === 0 ? {} : { receivers: new Map(receivers.map((one) => [one.name, formatReceiver(one)])) }),
    ...(routes.length === 0 ? {} : { routes: routes.map(formatRoute) }),
  };
  return stringify(tree, { lineWidth: 0 });
}

function formatReceiver({ kind, allowPrivate, maxPerMinute }: AlertReceiver) {
  return {
    ...formatKind(kind),
    ...(allowPrivate ? { "allow-private": true } : {}),
    ...(maxPerMinute === 0 ? {} : { "max-per-minute": maxPerMinute }),
  };
}

function formatKind(kind: AlertReceiver["kind"]) {
  switch (kind.case) {
    case "webhook": {
      const { url, signingSecret, headers } = kind.value;
      const secret = signingSecret === "" ? {} : { "signing-secret": signingSecret };
      return { webhook: { url, ...secret, ...formatHeaders(headers) } };
    }
    case "slack":
      return { slack: { url: kind.value.url } };
    case "alertmanager":
      return { alertmanager: { urls: kind.value.urls, ...formatHeaders(kind.value.headers) } };
    case undefined:
      return {};
    default:
      return kind satisfies never;
  }
}

function formatHeaders(headers: Readonly<Record<string, string>>) {
  return Object.keys(headers).length === 0 ? {} : { headers: new Map(Object.entries(headers)) };
}

function formatRoute(route: AlertRoute) {
  const { match, receivers, repeatSeconds, minIntervalSeconds, waitSeconds } = route;
  return {
    ...(match === undefined ? {} : { match: formatMatch(match) }),
    receivers,
    ...(repeatSeconds === 0 ? {} : { repeat: formatDuration(repeatSeconds) }),
    ...(minIntervalSeconds === 0 ? {} : { "min-interval": formatDuration(minIntervalSeconds) }),
    ...(waitSeconds === 0 ? {} : { wait: formatDuration(waitSeconds) }),
    ...(route.continue ? { continue: true } : {}),
  };
}

function formatMatch({ kinds, minSeverity, deployments, nodes }: AlertMatcher) {
  const severity = INCIDENT_SEVERITIES[minSeverity - 1];
  return {
    ...(kinds.length === 0 ? {} : { kinds: kinds.flatMap((kind) => INCIDENT_KINDS[kind - 1] ?? []) }),
    ...(severity === undefined ? {} : { severity }),
    ...(deployments.length === 0 ? {} : { deployments }),
    ...(nodes.length === 0 ? {} : { nodes }),
  };
}
