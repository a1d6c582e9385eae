import { COLOURS, type Graph, type Shape } from "./graph-layout.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A graph as SVG, without scripts, styles or anything from elsewhere. */
export function renderSvg({ width, height, title, shapes }: Graph): string {
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" font-family="sans-serif" font-size="13">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="${COLOURS.paper}"/>`,
    ...shapes.map(element),
    "</svg>",
  ].join("\n");
}

function element(shape: Shape): string {
  const colour = COLOURS[shape.colour];
  if (shape.kind === "text") {
    const anchor = shape.right ? ' text-anchor="end"' : "";
    return `<text x="${shape.at[0]}" y="${shape.at[1]}" fill="${colour}"${anchor}>${escaped(shape.text)}</text>`;
  }
  const points = shape.points.map((point) => point.join(",")).join(" ");
  const dash = shape.dashed ? ' stroke-dasharray="5 4"' : "";
  const stroke = `stroke="${colour}" stroke-width="${shape.colour === "series" ? 2 : 1}"${dash}`;
  return `<polyline points="${points}" fill="none" ${stroke}/>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}
