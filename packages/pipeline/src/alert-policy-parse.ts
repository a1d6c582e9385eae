import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AlertMatcher,
  AlertMatcherSchema,
  type AlertPolicy,
  AlertPolicySchema,
  type AlertReceiver,
  AlertReceiverSchema,
  type AlertRoute,
  AlertRouteSchema,
  type Diagnostic,
} from "@kedge/proto";
import {
  type AlertPolicyFields,
  alertPolicySchema,
  INCIDENT_KINDS,
  INCIDENT_SEVERITIES,
} from "./alert-policy-schema.ts";
import { readPlainFile } from "./plain-file.ts";

/** The policy, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface AlertPolicyResult {
  readonly policy?: AlertPolicy;
  readonly diagnostics: Diagnostic[];
}

type ReceiverFields = NonNullable<AlertPolicyFields["receivers"]>[string];
type RouteFields = NonNullable<AlertPolicyFields["routes"]>[number];

/** Reads an alert policy file. Never throws. `file` is the name used in diagnostics. */
export function parseAlertPolicy(text: string, file = "alerts.yaml"): AlertPolicyResult {
  const read = readPlainFile(text, {
    file,
    called: "policy file",
    asWritten: () => false,
    schema: alertPolicySchema,
  });
  const { data, diagnostics } = read;
  return data === undefined ? { diagnostics } : { policy: compilePolicy(data), diagnostics };
}

/** What is absent stays empty or 0, which the controller takes for its default. */
function compilePolicy({ receivers = {}, routes = [], "external-url": externalUrl = "" }: AlertPolicyFields) {
  return create(AlertPolicySchema, {
    receivers: Object.entries(receivers).map(([name, fields]) => compileReceiver(name, fields)),
    routes: routes.map(compileRoute),
    externalUrl,
  });
}

function compileReceiver(name: string, fields: ReceiverFields): AlertReceiver {
  return create(AlertReceiverSchema, {
    name,
    allowPrivate: fields["allow-private"] ?? false,
    maxPerMinute: fields["max-per-minute"] ?? 0,
    ...compileKind(fields),
  });
}

function compileKind({ webhook, slack, alertmanager }: ReceiverFields): MessageInitShape<typeof AlertReceiverSchema> {
  if (webhook !== undefined) {
    const { url, headers = {}, "signing-secret": signingSecret = "" } = webhook;
    return { kind: { case: "webhook", value: { url, headers, signingSecret } } };
  }
  if (slack !== undefined) return { kind: { case: "slack", value: slack } };
  const { urls = [], headers = {} } = alertmanager ?? {};
  return { kind: { case: "alertmanager", value: { urls, headers } } };
}

function compileRoute(fields: RouteFields): AlertRoute {
  return create(AlertRouteSchema, {
    receivers: fields.receivers,
    repeatSeconds: fields.repeat ?? 0,
    minIntervalSeconds: fields["min-interval"] ?? 0,
    waitSeconds: fields.wait ?? 0,
    continue: fields.continue ?? false,
    ...(fields.match === undefined ? {} : { match: compileMatch(fields.match) }),
  });
}

/** The lists of kinds and severities are in the order of the enums, which begin with UNSPECIFIED. */
function compileMatch({ kinds = [], severity, deployments = [], nodes = [] }: NonNullable<RouteFields["match"]>) {
  const minSeverity = severity === undefined ? 0 : INCIDENT_SEVERITIES.indexOf(severity) + 1;
  const numbers = kinds.map((kind) => INCIDENT_KINDS.indexOf(kind) + 1);
  return create(AlertMatcherSchema, { kinds: numbers, minSeverity, deployments, nodes }) satisfies AlertMatcher;
}
