import type { Job, Run } from "@kedge/proto";
import type { Telling } from "./deliver.ts";
import { plainText } from "./plain-text.ts";
import { literal } from "./slack-message.ts";
import { standardWebhook } from "./webhook-message.ts";

/** What a notify job says. */
export interface RunNotice {
  /** Stable over all attempts. */
  readonly id: string;
  readonly run: Run;
  readonly job: Job;
  /** Its expressions are filled in: it may hold anything. */
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

const MAX_MESSAGE = 2_000;
const MAX_NAME = 200;
const GREY = "#57606a";
/** Alertmanager forgets it after so long. */
const SHOWN_MS = 3_600_000;

/** What a notify job says, in the words of each kind of receiver. */
export function runTelling(notice: RunNotice): Telling {
  return {
    webhook: (webhook) =>
      standardWebhook(webhook, { type: "run.notice", id: notice.id, nowMs: notice.nowMs, data: dataOf(notice) }),
    slack: () => ({ body: JSON.stringify(slackBody(notice)), headers: {} }),
    alertmanager: ({ headers }) => ({ body: JSON.stringify([alert(notice)]), headers }),
  };
}

function dataOf({ id, run, job, message }: RunNotice) {
  const { commit = "", ref = "", sender = "" } = run.source ?? {};
  const about = { run: run.id, pipeline: run.pipeline, job: job.spec?.name ?? "", submittedBy: run.submittedBy };
  return { id, ...about, ...{ commit, ref, sender }, message: plainText(message, MAX_MESSAGE) };
}

/** No markup is used, and none from elsewhere is left. */
function slackBody(notice: RunNotice) {
  const { run, job, message, nowMs } = notice;
  const text = literal(message, MAX_MESSAGE);
  const { commit = "", ref = "" } = run.source ?? {};
  const fields = [
    { title: "Pipeline", value: literal(run.pipeline, MAX_NAME), short: true },
    {
      title: "Commit",
      value: literal([commit.slice(0, 12), ref].filter((part) => part !== "").join(" "), MAX_NAME),
      short: true,
    },
  ].filter(({ value }) => value !== "");
  const footer = `Kedge, run ${run.id}, job ${job.spec?.name}`;
  const attachment = { color: GREY, fallback: text, text, fields, footer, ts: Math.floor(nowMs / 1000), mrkdwn_in: [] };
  const quiet = { mrkdwn: false, parse: "none", link_names: false, unfurl_links: false };
  return { text: `${literal(run.pipeline, MAX_NAME)}: ${text}`, ...quiet, attachments: [attachment] };
}

function alert({ run, job, message, nowMs }: RunNotice) {
  const labels = { alertname: "KedgeRunNotice", severity: "info", pipeline: run.pipeline, run: run.id };
  return {
    labels: { ...labels, job: job.spec?.name ?? "" },
    annotations: { summary: plainText(message, MAX_MESSAGE) },
    startsAt: new Date(nowMs).toISOString(),
    endsAt: new Date(nowMs + SHOWN_MS).toISOString(),
  };
}
