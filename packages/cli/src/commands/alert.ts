import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { collect } from "@kedge/client";
import { KedgeError } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import { formatAlertPolicy, INCIDENT_KINDS, INCIDENT_SEVERITIES, parseAlertPolicy } from "@kedge/pipeline";
import {
  AlertDeliveryState,
  type AlertPolicy,
  AlertPolicySchema,
  GetAlertPolicyResponseSchema,
  ListDeliveriesResponseSchema,
  SetAlertPolicyResponseSchema,
  SilenceResponseSchema,
  TestReceiverResponseSchema,
  UnsilenceResponseSchema,
} from "@kedge/proto";
import { type Command, Option } from "commander";
import { argument, positiveInteger, readInput, repeated, span } from "../options.ts";
import { deliveryTable, silenceTable } from "../output/alert-views.ts";
import type { View } from "../output/output.ts";
import { safeText } from "../output/text.ts";
import { ExitRequest } from "../print-error.ts";
import { addRemote, type CommandGroup, type Host, type Session } from "../session.ts";

const PAGE_SIZE = 200;
const DEFAULT_LIMIT = 50;
const STATES = {
  pending: AlertDeliveryState.PENDING,
  delivered: AlertDeliveryState.DELIVERED,
  "given-up": AlertDeliveryState.GIVEN_UP,
  dropped: AlertDeliveryState.DROPPED,
} as const;

const POLICY_FILE = [
  "kedge alert policy get > alerts.yaml; $EDITOR alerts.yaml; kedge alert policy set alerts.yaml",
  "",
  "receivers:                  # secrets come back as <redacted>, which keeps them as they are",
  "  on-call: { slack: { url: https://hooks.slack.com/services/T000/B000/XXXX } }",
  "  audit: { webhook: { url: https://audit.example.org/in, signing-secret: whsec_YW4gZXhhbXBsZSwgbm90IGEgc2VjcmV0 } }",
  "  prometheus: { alertmanager: { urls: [http://10.0.0.7:9093] }, allow-private: true }",
  "routes:                     # the first that matches counts, and more if it says continue: true",
  "  - { receivers: [prometheus, audit], continue: true }",
  "  - match: { severity: critical, deployments: [vad-*] }",
  "    receivers: [on-call]",
  "    repeat: 1h              # while it is open and nobody acknowledged it; default 4h",
  "external-url: https://kedge.example.org   # where receivers reach the controller's HTTP port",
];

const text = ({ policy }: { readonly policy?: AlertPolicy | undefined }): View => [
  formatAlertPolicy(policy ?? create(AlertPolicySchema)).trimEnd(),
];

/** `kedge alert ...` */
export const alertCommands: CommandGroup = (program, host) => {
  const alert = program.command("alert").description("who is told of incidents: webhooks, Slack, Alertmanager");
  policyCommands(alert, host);
  addRemote(alert, host, {
    usage: "test <receiver>",
    description: "send a made-up incident to a receiver now; exit 1 if it does not take it",
    examples: ["kedge alert test on-call"],
    run: ({ client, output }, args) => testReceiver({ client, output }, argument(args, 0)),
  });
  addRemote<DeliveryFilter>(alert, host, {
    usage: "deliveries",
    description: "list what receivers were told, and what is still tried",
    options: (command) =>
      command
        .option("--incident <incident>", "of this incident")
        .option("--receiver <name>", "to this receiver")
        .addOption(new Option("--state <state>", "in this state").choices(Object.keys(STATES)))
        .option("--limit <count>", `most notices; default ${DEFAULT_LIMIT}`, positiveInteger),
    examples: ["kedge alert deliveries --state pending"],
    run: (session, _args, filter) => listDeliveries(session, filter),
  });
  silenceCommands(alert, host);
};

function policyCommands(alert: Command, host: Host): void {
  const policy = alert.command("policy").description("receivers, and which incidents they are told of");
  addRemote(policy, host, {
    usage: "get",
    description: "print the policy as a file that set takes; secrets are not in it",
    examples: POLICY_FILE,
    run: async ({ client, output }) =>
      output.show(GetAlertPolicyResponseSchema, await client.alerts.getAlertPolicy({}), text),
  });
  addRemote(policy, host, {
    usage: "set <file>",
    description: "make a file the policy; - is standard input. Silences stay",
    examples: POLICY_FILE,
    run: async ({ client, output }, args) => {
      const file = argument(args, 0);
      const { policy: wanted, diagnostics } = parseAlertPolicy(await readInput(file), file);
      output.diagnostics(diagnostics);
      if (wanted === undefined) throw new ExitRequest("usage");
      output.show(SetAlertPolicyResponseSchema, await client.alerts.setAlertPolicy({ policy: wanted }), text);
    },
  });
}

async function testReceiver({ client, output }: Pick<Session, "client" | "output">, receiver: string): Promise<void> {
  const response = await client.alerts.testReceiver({ receiver });
  const { error, tookMs } = response;
  output.show(TestReceiverResponseSchema, response, () => [
    safeText(error === "" ? `${receiver} took it in ${tookMs} ms` : `${receiver} did not take it: ${error}`),
  ]);
  if (error !== "") throw new ExitRequest("failed");
}

interface DeliveryFilter {
  readonly incident?: string;
  readonly receiver?: string;
  readonly state?: keyof typeof STATES;
  readonly limit?: number;
}

async function listDeliveries({ client, output }: Session, filter: DeliveryFilter): Promise<void> {
  const { incident: incidentId = "", receiver = "", limit = DEFAULT_LIMIT } = filter;
  const state = filter.state === undefined ? AlertDeliveryState.UNSPECIFIED : STATES[filter.state];
  const pageSize = Math.min(limit, PAGE_SIZE);
  const list = (pageToken: string) =>
    client.alerts.listDeliveries({ incidentId, receiver, state, pageSize, pageToken });
  const deliveries = await collect(list, (page) => page.deliveries, limit);
  output.show(ListDeliveriesResponseSchema, create(ListDeliveriesResponseSchema, { deliveries }), () =>
    deliveries.length === 0 ? ["no receiver was told of an incident"] : [deliveryTable(deliveries)],
  );
}

interface SilenceOptions {
  readonly for: number;
  readonly comment: string;
  readonly kind?: readonly (typeof INCIDENT_KINDS)[number][];
  readonly severity?: (typeof INCIDENT_SEVERITIES)[number];
  readonly deployment?: readonly string[];
  readonly node?: readonly string[];
  readonly all?: boolean;
}

function silenceCommands(alert: Command, host: Host): void {
  addRemote<SilenceOptions>(alert, host, {
    usage: "silence",
    description: "tell nobody of some incidents for a while; what was told of is still told to be over",
    options: (command) =>
      command
        .requiredOption("--for <span>", "how long, e.g. 90m, 2h", span)
        .requiredOption("--comment <text>", "why")
        .option("--deployment <pattern>", 'about such deployments; "*" stands for anything; may be repeated', repeated)
        .option("--node <pattern>", "about such nodes; may be repeated", repeated)
        .addOption(new Option("--kind <kind...>", "of these kinds").choices(INCIDENT_KINDS))
        .addOption(new Option("--severity <severity>", "this or graver").choices(INCIDENT_SEVERITIES))
        .option("--all", "everything"),
    examples: ["kedge alert silence --for 2h --node 'edge-*' --comment 'new switch'"],
    run: (session, _args, options) => silence(session, options),
  });
  addRemote(alert, host, {
    usage: "silences",
    description: "list silences",
    run: async ({ client, output }) =>
      output.show(GetAlertPolicyResponseSchema, await client.alerts.getAlertPolicy({}), ({ policy }) =>
        policy === undefined || policy.silences.length === 0
          ? ["nothing is silenced"]
          : [silenceTable(policy.silences)],
      ),
  });
  addRemote(alert, host, {
    usage: "unsilence <silence-id>",
    description: "end a silence now",
    examples: ["kedge alert unsilence 01JD…"],
    run: async ({ client, output }, args) => {
      const id = argument(args, 0);
      output.show(UnsilenceResponseSchema, await client.alerts.unsilence({ id }), () => [`ended ${safeText(id)}`]);
    },
  });
}

async function silence({ client, output }: Session, options: SilenceOptions): Promise<void> {
  const { kind = [], severity, deployment = [], node = [], all = false, comment } = options;
  const isNarrow = kind.length + deployment.length + node.length > 0 || severity !== undefined;
  if (isNarrow === all) {
    throw new KedgeError("INVALID_OPTION", "say what to silence: --deployment, --node, --kind, --severity, or --all");
  }
  const response = await client.alerts.silence({
    match: {
      // The lists are in the order of the enums, which begin with UNSPECIFIED.
      kinds: kind.map((one) => INCIDENT_KINDS.indexOf(one) + 1),
      minSeverity: severity === undefined ? 0 : INCIDENT_SEVERITIES.indexOf(severity) + 1,
      deployments: [...deployment],
      nodes: [...node],
    },
    endsAt: timestampFromMs(systemClock.now() + options.for * 1000),
    comment,
  });
  output.show(SilenceResponseSchema, response, (it) => (it.silence === undefined ? [] : [silenceTable([it.silence])]));
}
