import { crc32, inflateSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { IncidentSchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { COLOURS, type Colour, incidentGraph } from "./graph-layout.ts";
import { graphPath, isGraphLinkValid } from "./graph-link.ts";
import { renderPng } from "./graph-png.ts";
import { renderSvg } from "./graph-svg.ts";

const START_MS = Date.UTC(2026, 0, 1);
const points = Array.from({ length: 60 }, (_, i) => {
  return { at: timestampFromMs(START_MS + i * 5_000), value: i < 40 ? 1 : 6 };
});
const incident = create(IncidentSchema, {
  summary: 'Errors <script>"&',
  openedAt: timestampFromMs(START_MS + 200_000),
  series: [{ metric: "error rate", unit: "%", points, usual: 1, limit: 3 }],
});

/** Takes a PNG apart, as a viewer does. */
function readPng(png: Buffer) {
  expect(png.subarray(0, 8).toString("latin1")).toBe("\u0089PNG\r\n\u001a\n");
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const body = png.subarray(at + 4, at + 8 + length);
    expect(png.readUInt32BE(at + 8 + length)).toBe(crc32(body));
    chunks.set(body.subarray(0, 4).toString("latin1"), body.subarray(4));
    at += 12 + length;
  }
  const header = chunks.get("IHDR") ?? Buffer.alloc(13);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const rows = inflateSync(chunks.get("IDAT") ?? Buffer.alloc(0));
  expect(rows.length).toBe((width + 1) * height);
  const palette = chunks.get("PLTE")?.toString("hex") ?? "";
  const colourAt = (x: number, y: number): string => {
    const index = rows[y * (width + 1) + 1 + x] ?? 0;
    return `#${palette.slice(index * 6, index * 6 + 6)}`;
  };
  return { width, height, names: [...chunks.keys()], colourAt };
}

describe("graphs", () => {
  test("PNG: a viewer finds the line where the layout puts it", () => {
    const graph = incidentGraph(incident);
    const { width, height, names, colourAt } = readPng(renderPng(graph));
    expect({ width, height, names }).toEqual({ width: 720, height: 184, names: ["IHDR", "PLTE", "IDAT", "IEND"] });
    for (const colour of ["series", "opened"] as const) {
      const line = graph.shapes.find((shape) => shape.kind === "line" && shape.colour === colour);
      const [x = -1, y = -1] = (line?.kind === "line" && line.points.at(-1)) || [];
      expect(colourAt(x, y)).toBe(COLOURS[colour]);
    }
    const used = new Set<string>();
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) used.add(colourAt(x, y));
    expect(used).toEqual(
      new Set((["paper", "frame", "ink", "series", "usual", "limit"] as Colour[]).map((c) => COLOURS[c])),
    );
  });

  test("SVG: names cannot bring elements in", () => {
    const svg = renderSvg(incidentGraph(incident));
    expect(svg).toContain("<title>Errors &lt;script&gt;&quot;&amp;</title>");
    expect(svg).not.toMatch(/<script|<image|<foreignObject|href|on\w+=/);
  });

  test("whatever a series holds, there is a picture", () => {
    const value = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1e308, -1e308, 5e-324));
    const at = fc.integer({ min: 0, max: 8.64e15 }).map((ms) => timestampFromMs(ms));
    const point = fc.record({ at, value }, { requiredKeys: ["value"] });
    const series = fc.record({
      metric: fc.string({ unit: "binary" }),
      unit: fc.string(),
      usual: value,
      limit: value,
      points: fc.array(point, { maxLength: 20 }),
    });
    fc.assert(
      fc.property(fc.array(series, { maxLength: 5 }), fc.string({ unit: "binary" }), (all, summary) => {
        const graph = incidentGraph(create(IncidentSchema, { summary, series: all }));
        expect(readPng(renderPng(graph)).height).toBeLessThanOrEqual(484);
        expect(renderSvg(graph)).not.toContain("NaN");
      }),
      { numRuns: 30 },
    );
  });
});

describe("links", () => {
  const key = Buffer.alloc(32, 1);
  const name = { incidentId: "01ke1vj5z8zzzzzzzzzzzzzzzz", format: "png" } as const;
  const now = START_MS + 12_345;
  const query = new URLSearchParams(graphPath(key, name, now).split("?")[1]);
  const link = { expires: query.get("expires") ?? "", signature: query.get("signature") ?? "" };
  const DAY_MS = 86_400_000;

  test("works for one picture, for a week at least", () => {
    expect(graphPath(key, name, now)).toMatch(
      /^\/incidents\/01ke1vj5z8zzzzzzzzzzzzzzzz\.png\?expires=\d+&signature=[\w-]{43}$/,
    );
    expect(isGraphLinkValid(key, name, link, now + 7 * DAY_MS)).toBe(true);
    expect(isGraphLinkValid(key, name, link, now + 9 * DAY_MS)).toBe(false);
    expect(isGraphLinkValid(key, { ...name, format: "svg" }, link, now)).toBe(false);
    expect(isGraphLinkValid(key, { ...name, incidentId: "01ke1vj5z8zzzzzzzzzzzzzzzy" }, link, now)).toBe(false);
    expect(isGraphLinkValid(Buffer.alloc(32, 2), name, link, now)).toBe(false);
  });

  test("cannot be made to last longer", () => {
    for (const expires of ["99999999999", "", "-1", `${link.expires}0`, "1e12", ` ${link.expires}`]) {
      expect(isGraphLinkValid(key, name, { ...link, expires }, now)).toBe(false);
    }
    for (const signature of ["", "a", link.signature.slice(0, -2), `${link.signature}AA`]) {
      expect(isGraphLinkValid(key, name, { ...link, signature }, now)).toBe(false);
    }
  });

  test("is the same all day, so that a repetition is the same message", () => {
    expect(graphPath(key, name, now + 1)).toBe(graphPath(key, name, now));
  });
});
