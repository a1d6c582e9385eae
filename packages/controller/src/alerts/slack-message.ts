import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AlertNotice, type Incident, IncidentSeverity } from "@kedge/proto";
import {
  actionWords,
  causeWords,
  lastedWords,
  MAX_SENTENCE,
  seriesWords,
  severityWord,
  subjectWords,
} from "./incident-words.ts";
import type { Notice } from "./notice.ts";
import { plainText } from "./plain-text.ts";
import type { Message } from "./webhook-message.ts";

const GREEN = "#1a7f37";
const COLOURS: Readonly<Record<IncidentSeverity, string>> = {
  [IncidentSeverity.UNSPECIFIED]: "#57606a",
  [IncidentSeverity.INFO]: "#0969da",
  [IncidentSeverity.WARNING]: "#d4a72c",
  [IncidentSeverity.CRITICAL]: "#cf222e",
};
const MAX_TEXT = 3_000;

/**
 * Slack's incoming webhook. Attachments rather than blocks: Mattermost and Rocket.Chat take them too, and a picture that
 * cannot be loaded does not fail the message. No markup is used, and none from elsewhere is left.
 */
export function slackMessage(notice: Notice): Message {
  const { incident, links } = notice;
  const title = literal(incident.summary, MAX_SENTENCE);
  const headline = `${word(notice)}: ${title}`;
  const lines = [literal(incident.reason, MAX_SENTENCE), ...graphLines(incident), ...ending(incident)];
  const attachment = {
    color: notice.notice === AlertNotice.RESOLVED ? GREEN : COLOURS[incident.severity],
    fallback: headline,
    title,
    text: lines.filter((line) => line !== "").join("\n"),
    fields: fields(incident),
    footer: `Kedge, incident ${incident.id}`,
    ts: Math.floor((incident.openedAt === undefined ? notice.nowMs : timestampMs(incident.openedAt)) / 1000),
    mrkdwn_in: [],
    ...(links.arePublic ? { title_link: links.svg, image_url: links.png } : {}),
  };
  const quiet = { mrkdwn: false, parse: "none", link_names: false, unfurl_links: false };
  return { body: JSON.stringify({ text: headline, ...quiet, attachments: [attachment] }), headers: {} };
}

function word({ notice, incident }: Notice): string {
  switch (notice) {
    case AlertNotice.RESOLVED:
      return "Resolved";
    case AlertNotice.REMINDER:
      return `Still open (${severityWord(incident.severity)})`;
    case AlertNotice.ESCALATED:
      return `Now ${severityWord(incident.severity)}`;
    case AlertNotice.OPENED:
    case AlertNotice.UNSPECIFIED:
      return severityWord(incident.severity).replace(/^./, (letter) => letter.toUpperCase());
    default:
      return notice satisfies never;
  }
}

function graphLines({ series }: Incident): string[] {
  return series.map((one) => literal(seriesWords(one), MAX_SENTENCE));
}

function ending(incident: Incident): string[] {
  const lasted = lastedWords(incident);
  if (lasted === undefined) return [];
  const how = incident.resolution === "" ? "" : `: ${incident.resolution}`;
  return [literal(`over after ${lasted}${how}`, MAX_SENTENCE)];
}

function fields(incident: Incident) {
  const { repeats, acknowledgedBy } = incident;
  const about = [
    { title: "About", value: literal(subjectWords(incident), MAX_SENTENCE), short: true },
    { title: "Severity", value: severityWord(incident.severity), short: true },
    { title: "Repeats", value: repeats > 0 ? String(repeats) : "", short: true },
    { title: "Acknowledged by", value: literal(acknowledgedBy, 80), short: true },
    { title: "Likely causes", value: list(causeWords(incident)), short: false },
    { title: "What was done", value: list(actionWords(incident)), short: false },
  ];
  return about.filter(({ value }) => value !== "");
}

/** As many lines as Slack shows. */
function list(lines: readonly string[]): string {
  let text = "";
  for (const line of lines) {
    const longer = `${text}${text && "\n"}• ${literal(line, MAX_SENTENCE)}`;
    if (longer.length > MAX_TEXT) break;
    text = longer;
  }
  return text;
}

/**
 * Text from elsewhere that is shown as it is: Slack's control characters are escaped, and what starts a mention, a link
 * or markup, in Slack or Markdown, is broken by a character of no width.
 */
export function literal(text: string, most: number): string {
  return plainText(text, most)
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(
      /[@*_~`\\|]|\]\(|!\[|:\/\/|www\.|^[#+-]|^\d+\./gi,
      (found) => `${found.slice(0, 1)}\u200b${found.slice(1)}`,
    )
    .replace(/[*_~`]\u200b/g, (found) => `\u200b${found}`);
}
