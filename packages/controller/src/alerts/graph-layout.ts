import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Incident, IncidentSeries } from "@kedge/proto";
import { numberWords } from "./incident-words.ts";
import { plainText } from "./plain-text.ts";

/** Colours of graphs by meaning, as #rrggbb. */
export const COLOURS = {
  paper: "#ffffff",
  frame: "#d0d7de",
  ink: "#24292f",
  series: "#0969da",
  usual: "#57606a",
  limit: "#cf222e",
  opened: "#cf222e",
  over: "#1a7f37",
} as const;

/** A colour by its meaning. */
export type Colour = keyof typeof COLOURS;

/** A point in pixels from the upper left corner. */
export type Point = readonly [x: number, y: number];

/** What a graph is drawn of. */
export type Shape =
  | { readonly kind: "line"; readonly colour: Colour; readonly points: readonly Point[]; readonly dashed: boolean }
  /** Starts, or ends if `right`, at a baseline point. */
  | {
      readonly kind: "text";
      readonly colour: Colour;
      readonly at: Point;
      readonly text: string;
      readonly right: boolean;
    };

/** A picture of an incident. */
export interface Graph {
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly shapes: readonly Shape[];
}

const WIDTH = 720;
const TITLE_HEIGHT = 34;
const PANEL_HEIGHT = 150;
const LEFT = 84;
const RIGHT = 16;
const ABOVE = 24;
const BELOW = 26;
const MAX_PANELS = 3;
const MAX_POINTS = 120;
const CHARACTER = 8;
const MAX_VALUE = 1e15;

/** Draws an incident: a panel for each series, with what is usual, the limit, and when it opened and was over. */
export function incidentGraph(incident: Incident): Graph {
  const series = incident.series.slice(0, MAX_PANELS);
  const title = plainText(incident.summary, Math.floor((WIDTH - 2 * RIGHT) / CHARACTER));
  const heading = text("ink", [RIGHT, 22], title);
  const panels = series.flatMap((one, i) => panel(one, incident, TITLE_HEIGHT + i * PANEL_HEIGHT));
  const empty = series.length === 0 ? [text("usual", [RIGHT, TITLE_HEIGHT + 40], "no series was kept")] : [];
  const height = TITLE_HEIGHT + Math.max(1, series.length) * PANEL_HEIGHT;
  return { width: WIDTH, height, title, shapes: [heading, ...panels, ...empty] };
}

interface Scale {
  readonly x: (ms: number) => number;
  readonly y: (value: number) => number;
  readonly times: readonly [number, number];
  readonly values: readonly [number, number];
  readonly top: number;
  readonly bottom: number;
}

function panel(series: IncidentSeries, incident: Incident, offset: number): Shape[] {
  const points = series.points
    .slice(0, MAX_POINTS)
    .flatMap(({ at, value }) => (at !== undefined && isDrawable(value) ? [{ ms: timestampMs(at), value }] : []))
    .sort((a, b) => a.ms - b.ms);
  const name = plainText(series.unit === "" ? series.metric : `${series.metric}, ${series.unit}`, 60);
  const [first] = points;
  if (first === undefined) return [text("usual", [LEFT, offset + ABOVE], `${name}: no points`)];
  const levels = [series.usual, series.limit].filter((level) => level !== undefined && isDrawable(level));
  const scale = scaleOf(points, levels as number[], offset);
  const { x, y } = scale;
  return [
    ...frame(scale, name),
    ...level("usual", series.usual, scale),
    ...level("limit", series.limit, scale),
    ...mark("opened", incident.openedAt, scale),
    ...mark("over", incident.resolvedAt, scale),
    line(
      "series",
      points.map(({ ms, value }): Point => [x(ms), y(value)]),
    ),
  ];
}

function scaleOf(
  points: readonly { readonly ms: number; readonly value: number }[],
  levels: readonly number[],
  offset: number,
): Scale {
  const [top, bottom] = [offset + ABOVE, offset + PANEL_HEIGHT - BELOW];
  const all = [...points.map(({ value }) => value), ...levels];
  const [least, greatest] = [Math.min(0, ...all), Math.max(...all)];
  const from = points[0]?.ms ?? 0;
  const to = Math.max(points.at(-1)?.ms ?? 0, from + 1);
  const span = greatest - least || 1;
  return {
    x: (ms) => Math.round(LEFT + ((ms - from) / (to - from)) * (WIDTH - LEFT - RIGHT)),
    y: (value) => Math.round(bottom - ((value - least) / span) * (bottom - top)),
    times: [from, to],
    values: [least, least + span],
    top,
    bottom,
  };
}

function frame({ times, values, top, bottom }: Scale, name: string): Shape[] {
  const edge = WIDTH - RIGHT;
  return [
    line("frame", [
      [LEFT, top],
      [edge, top],
      [edge, bottom],
      [LEFT, bottom],
      [LEFT, top],
    ]),
    text("ink", [LEFT, top - 6], name),
    text("usual", [LEFT - 6, top + 8], numberWords(values[1]), true),
    text("usual", [LEFT - 6, bottom], numberWords(values[0]), true),
    text("usual", [LEFT, bottom + 16], timeWords(times[0])),
    text("usual", [edge, bottom + 16], timeWords(times[1]), true),
  ];
}

function level(colour: Colour, value: number | undefined, { y }: Scale): Shape[] {
  if (value === undefined || !isDrawable(value)) return [];
  return [
    line(
      colour,
      [
        [LEFT, y(value)],
        [WIDTH - RIGHT, y(value)],
      ],
      true,
    ),
  ];
}

function mark(colour: "opened" | "over", at: Timestamp | undefined, { x, times, top, bottom }: Scale): Shape[] {
  const ms = at === undefined ? Number.NaN : timestampMs(at);
  if (!(ms >= times[0] && ms <= times[1])) return [];
  const isFarRight = x(ms) > WIDTH - RIGHT - 60;
  const label = text(colour, [x(ms) + (isFarRight ? -5 : 5), bottom - 6], colour, isFarRight);
  return [
    line(colour, [
      [x(ms), top],
      [x(ms), bottom],
    ]),
    label,
  ];
}

/** Greater numbers leave nothing of what they are drawn beside. */
function isDrawable(value: number): boolean {
  return Math.abs(value) <= MAX_VALUE;
}

/** The time of day, UTC; no locale is asked. */
function timeWords(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)} UTC`;
}

function line(colour: Colour, points: readonly Point[], dashed = false): Shape {
  return { kind: "line", colour, points, dashed };
}

function text(colour: Colour, at: Point, words: string, right = false): Shape {
  return { kind: "text", colour, at, text: words, right };
}
