import { crc32, deflateSync } from "node:zlib";
import { COLOURS, type Colour, type Graph, type Point, type Shape } from "./graph-layout.ts";
import { GLYPH_HEIGHT, GLYPH_STEP, glyphDots } from "./pixel-font.ts";

const PALETTE = Object.keys(COLOURS) as Colour[];
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const PALETTE_COLOUR = 3;
type Line = Extract<Shape, { kind: "line" }>;
type Text = Extract<Shape, { kind: "text" }>;

const DASH = 5;
const GAP = 4;

/** A graph as PNG (W3C PNG, third edition): 8 bits a pixel into a palette, no filter. */
export function renderPng({ width, height, shapes }: Graph): Buffer {
  const canvas = new Canvas(width, height);
  for (const shape of shapes) canvas.draw(shape);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, PALETTE_COLOUR, 0, 0, 0], 8);
  const palette = Buffer.from(PALETTE.map((name) => COLOURS[name].slice(1)).join(""), "hex");
  const data = deflateSync(canvas.rows);
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("PLTE", palette),
    chunk("IDAT", data),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(body.length + 8);
  frame.writeUInt32BE(data.length, 0);
  body.copy(frame, 4);
  frame.writeUInt32BE(crc32(body), body.length + 4);
  return frame;
}

/** Pixels as palette indexes; each row begins with a byte that says it is not filtered. What lies outside is not drawn. */
class Canvas {
  readonly rows: Buffer;
  readonly #width: number;
  readonly #height: number;

  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.rows = Buffer.alloc((width + 1) * height, PALETTE.indexOf("paper"));
    for (let y = 0; y < height; y++) this.rows[y * (width + 1)] = 0;
  }

  draw(shape: Shape): void {
    if (shape.kind === "text") this.#text(shape);
    else for (const [i, to] of shape.points.entries()) this.#line(shape.points[i - 1] ?? to, to, shape);
  }

  #dot(x: number, y: number, colour: Colour): void {
    if (x < 0 || y < 0 || x >= this.#width || y >= this.#height) return;
    this.rows[y * (this.#width + 1) + 1 + x] = PALETTE.indexOf(colour);
  }

  /** Steps along the longer side, one pixel at a time. */
  #line([x0, y0]: Point, [x1, y1]: Point, { colour, dashed }: Line): void {
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
    const isThick = colour === "series";
    for (let i = 0; i <= steps; i++) {
      if (dashed && i % (DASH + GAP) >= DASH) continue;
      const [x, y] = [Math.round(x0 + ((x1 - x0) * i) / steps), Math.round(y0 + ((y1 - y0) * i) / steps)];
      this.#dot(x, y, colour);
      if (!isThick) continue;
      this.#dot(x + 1, y, colour);
      this.#dot(x, y + 1, colour);
    }
  }

  #text({ at: [x, y], text, colour, right }: Text): void {
    const characters = [...text];
    const left = right ? x - characters.length * GLYPH_STEP : x;
    for (const [i, character] of characters.entries()) {
      for (const [dx, dy] of glyphDots(character)) {
        this.#dot(left + i * GLYPH_STEP + dx, y - GLYPH_HEIGHT + dy, colour);
      }
    }
  }
}
