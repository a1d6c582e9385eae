import {
  baseUrlProblem,
  headerNameProblem,
  headerValueProblem,
  patternProblem,
  signingSecretProblem,
  urlProblem,
} from "@kedge/domain";
import { z } from "zod";
import { duration, exactlyOne, holdTime, name, report, whole } from "./fields.ts";

/** Text that a rule finds no problem with. What is secret is not repeated in the finding. */
const checked = (problem: (text: string) => string | undefined) =>
  z.string().superRefine((value, ctx) => {
    const expected = problem(value);
    if (expected !== undefined) report(ctx, `must be ${expected}`);
  });

const headers = z
  .record(checked(headerNameProblem), checked(headerValueProblem))
  .refine((value) => Object.keys(value).length <= 8, "at most 8 headers");

const webhook = z.strictObject({
  url: checked(urlProblem),
  "signing-secret": checked(signingSecretProblem)
    .optional()
    .meta({ description: "Signs each message as Standard Webhooks says." }),
  headers: headers.optional(),
});

const slack = z.strictObject({ url: checked(urlProblem) });

const alertmanager = z.strictObject({
  urls: z.array(checked(baseUrlProblem)).min(1).max(8).meta({ description: "Every member of the cluster." }),
  headers: headers.optional(),
});

const receiver = z
  .strictObject({
    webhook: webhook.optional(),
    slack: slack.optional(),
    alertmanager: alertmanager.optional(),
    "allow-private": z
      .boolean()
      .optional()
      .meta({ description: "It is on a private or loopback address. Default: false." }),
    "max-per-minute": whole(1, 6_000).optional().meta({ description: "Default: 60; 1200 for Alertmanager." }),
  })
  .superRefine((value, ctx) => exactlyOne(value, ["webhook", "slack", "alertmanager"], ctx));

const patterns = z.array(checked(patternProblem)).min(1).max(50);

/** The kinds of incidents. */
export const INCIDENT_KINDS = ["anomaly", "burn-rate", "rollout", "node", "replica"] as const;

/** Severities, from the least. */
export const INCIDENT_SEVERITIES = ["info", "warning", "critical"] as const;

const match = z.strictObject({
  kinds: z.array(z.enum(INCIDENT_KINDS)).min(1).max(INCIDENT_KINDS.length).optional(),
  severity: z.enum(INCIDENT_SEVERITIES).optional().meta({ description: "This or a graver one." }),
  deployments: patterns.optional(),
  nodes: patterns.optional(),
});

const route = z.strictObject({
  match: match.optional().meta({ description: "What is left out matches everything." }),
  receivers: z.array(name("receiver")).min(1).max(50),
  repeat: duration.optional().meta({ description: "An open incident is told again after this time. Default: 4h." }),
  "min-interval": holdTime
    .optional()
    .meta({ description: "Least time between two openings about the same deployment, or else node. Default: none." }),
  wait: holdTime.optional().meta({ description: "What is over within this time is not told. Default: none." }),
  continue: z.boolean().optional().meta({ description: "Later routes are tried as well." }),
});

/** An alert policy file. */
export const alertPolicySchema = z
  .strictObject({
    receivers: z
      .record(name("receiver"), receiver)
      .refine((value) => Object.keys(value).length <= 50, "at most 50 receivers")
      .optional(),
    routes: z.array(route).max(200).optional().meta({ description: "Tried in order; the first that matches counts." }),
    "external-url": checked(baseUrlProblem)
      .optional()
      .meta({ description: "Where receivers reach the controller's HTTP server, for links to graphs." }),
  })
  .superRefine(({ receivers = {}, routes = [] }, ctx) => {
    for (const [i, { receivers: names }] of routes.entries()) {
      for (const [j, wanted] of names.entries()) {
        if (Object.hasOwn(receivers, wanted)) continue;
        const hint = `there are: ${Object.keys(receivers).join(", ") || "none"}`;
        report(ctx, `no receiver is called "${wanted}"`, { path: ["routes", i, "receivers", j], hint });
      }
    }
  });

/** An alert policy file once it is checked. */
export type AlertPolicyFields = z.output<typeof alertPolicySchema>;
