/** Each glyph is three dots wide and five high: a digit a row, from the top, its bits from the left. */
const GLYPHS: Readonly<Record<string, string>> = {
  "0": "75557",
  "1": "26227",
  "2": "71747",
  "3": "71717",
  "4": "55711",
  "5": "74717",
  "6": "74757",
  "7": "71122",
  "8": "75757",
  "9": "75717",
  A: "25755",
  B: "65656",
  C: "34443",
  D: "65556",
  E: "74647",
  F: "74644",
  G: "34553",
  H: "55755",
  I: "72227",
  J: "11152",
  K: "55655",
  L: "44447",
  M: "57755",
  N: "65555",
  O: "25552",
  P: "65644",
  Q: "25573",
  R: "65655",
  S: "34216",
  T: "72222",
  U: "55557",
  V: "55552",
  W: "55775",
  X: "55255",
  Y: "55222",
  Z: "71247",
  " ": "00000",
  ".": "00002",
  ",": "00024",
  ":": "02020",
  "-": "00700",
  "+": "02720",
  "=": "07070",
  _: "00007",
  "/": "11244",
  "%": "51245",
  "(": "12221",
  ")": "42224",
  "[": "32223",
  "]": "62226",
  "<": "12421",
  ">": "42124",
  "*": "52725",
  "'": "22000",
  '"': "55000",
  "!": "22202",
  "?": "71202",
  "#": "57575",
  "…": "00005",
  "@": "25543",
  "&": "25253",
  µ: "05564",
  ";": "02024",
};
const SCALE = 2;
/** What stands in for a character that there is no glyph of. */
const UNKNOWN = "77777";

/** Height of a glyph in pixels. */
export const GLYPH_HEIGHT = 5 * SCALE;

/** From one character to the next, in pixels. */
export const GLYPH_STEP = 4 * SCALE;

/** The pixels of a character, from its upper left corner. Small letters look like capitals. */
export function glyphDots(character: string): readonly (readonly [x: number, y: number])[] {
  const rows = GLYPHS[character] ?? GLYPHS[character.toUpperCase()] ?? UNKNOWN;
  const dots: [number, number][] = [];
  for (let y = 0; y < GLYPH_HEIGHT; y++) {
    const bits = Number(rows[Math.floor(y / SCALE)]);
    for (let x = 0; x < 3 * SCALE; x++) if (bits & (4 >> Math.floor(x / SCALE))) dots.push([x, y]);
  }
  return dots;
}
