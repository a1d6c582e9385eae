// Draws the demo's plain output as a terminal: `npm run demo > run.txt; node deploy/demo/render-svg.ts < run.txt > demo.svg`.
// Steps, starts, progress and what is said twice are left out, so that it fits; no line is changed but for being wrapped.
import { text } from "node:stream/consumers";

const COLUMNS = 100;
const MOST_LINES = 60;
const FONT_PX = 13;
const COLUMN_PX = 7.85;
const LINE_PX = 18;
const MARGIN_PX = 20;
/** Where the text of a timeline line and the value of a summary line begin. */
const TEXT_COLUMN = 19;
const VALUE_COLUMN = 52;

const BACKGROUND = "#0d1117";
const COLOURS = { plain: "#c9d1d9", dim: "#8b949e", title: "#79c0ff", good: "#7ee787", bad: "#ff7b72" } as const;
type Colour = keyof typeof COLOURS;

const TIME = /^ *\d+\.\ds {2}/;
/** A thing that happened, with its text in its column; a title has none. */
const ENTRY = /^(?= *\d+\.\ds {2}[\w-]+ +\S).{17} {2}\S/;
const LEFT_OUT = [
  /^ *\S+s {2}(?:step|model|deployment|run) {2}/,
  /^ *\S+s {2}job +(?:rollout|\S+ started|\S+ succeeded \([^)]*\)$)/,
  /^ *\S+s {2}traffic +\d+ requests\/s/,
  /^ *\S+s {2}rollout +\S+ Preparing/,
  /^ *\S+s {2}demo +cleaning up/,
  // What the set-up says before.
  /^[^ ]/,
];
const GOOD = / (?:Promoted|as told):/;
const BAD = / (?:RollingBack|RolledBack):/;

/** Lines of at most COLUMNS, broken at spaces, what follows indented to where the text began. */
function wrap(line: string): string[] {
  const lines: string[] = [];
  const indent = " ".repeat(ENTRY.test(line) ? TEXT_COLUMN : VALUE_COLUMN);
  let rest = line;
  while (rest.length > COLUMNS) {
    const space = rest.lastIndexOf(" ", COLUMNS);
    const at = space > indent.length ? space : COLUMNS;
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

function colourOf(line: string): Colour {
  if (GOOD.test(line)) return "good";
  if (BAD.test(line) || / not as told: /.test(line)) return "bad";
  if (TIME.test(line) && !ENTRY.test(line)) return "title";
  return "plain";
}

function escaped(part: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  return part.replace(/[&<>]/g, (character) => entities[character] ?? character);
}

interface Row {
  readonly text: string;
  readonly colour: Colour;
}

/** Every part of a row is put into its column, as spaces are not kept everywhere and fonts differ in width. */
function renderRow({ text: line, colour }: Row, index: number): string {
  const y = MARGIN_PX + LINE_PX * index + FONT_PX;
  const timeEnds = TIME.exec(line)?.[0].length ?? 0;
  const parts = [...line.matchAll(/\S+(?: \S+)*/g)].map((part) => {
    const x = (MARGIN_PX + part.index * COLUMN_PX).toFixed(1);
    const fill = COLOURS[part.index < timeEnds ? "dim" : colour];
    const weight = colour === "title" && part.index >= timeEnds ? ' font-weight="bold"' : "";
    return `<tspan x="${x}" fill="${fill}"${weight}>${escaped(part[0])}</tspan>`;
  });
  return `<text y="${y}">${parts.join("")}</text>`;
}

function render(rows: readonly Row[]): string {
  const width = Math.ceil(COLUMNS * COLUMN_PX + 2 * MARGIN_PX);
  const height = rows.length * LINE_PX + 2 * MARGIN_PX;
  const font = `font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    "<title>npm run demo: a good release is promoted, a bad one is rolled back</title>",
    `<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>`,
    `<g ${font} font-size="${FONT_PX}">`,
    ...rows.flatMap((row, index) => (row.text === "" ? [] : renderRow(row, index))),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

const told = (await text(process.stdin)).trimEnd().split("\n");
const kept = told.filter((line) => !LEFT_OUT.some((pattern) => pattern.test(line)));
const lines = ["$ npm run demo", ...kept];
const rows = lines.flatMap((line) => wrap(line).map((part) => ({ text: part, colour: colourOf(line) })));
if (rows.length > MOST_LINES) throw new Error(`${rows.length} lines are more than ${MOST_LINES}`);
process.stdout.write(render(rows));
