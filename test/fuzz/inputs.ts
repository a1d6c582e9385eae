import { type Random, seeded } from "./random.ts";

const OPEN = "$" + "{{";

/** What hostile texts are made of: where grammars begin, end, escape, repeat and refer. */
const PIECES = [
  ..."\n \t:-[]{}()*&!|>'\"#?,.$\\/=;@%~+<`\0\u{1f600}\u2028",
  ..."\n|\n  |: |- |'''|\"\"\"|*a |&a |<<: *a|!!binary |!reference [a, b]|---\n|...\n|? | }}|//|/*|*/|\\u00".split("|"),
  ..."null|true|__proto__|constructor|1e999|-0|0x|.inf|jobs|needs|steps|matrix|when|if|on|script|extends".split("|"),
  ..."stage('a') {|stages {|steps {|parallel {|matrix {|when {|post {|script {|environment {|credentials('a')".split(
    "|",
  ),
  ..."refs/heads/|refs/tags/|0000000000000000000000000000000000000000|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".split(
    "|",
  ),
  OPEN,
  `$${OPEN}`,
] as const;

/** Texts of any length that grow in one way each: what makes careless readers overflow, hang or run out of memory. */
export const SHAPES: Readonly<Record<string, (bytes: number) => string>> = {
  "open brackets": (n) => "[".repeat(n),
  "open braces": (n) => "{".repeat(n),
  parentheses: (n) => "(".repeat(n / 2) + ")".repeat(n / 2),
  "braces with keys": (n) => "{a: ".repeat(n / 4),
  "blocks in blocks": (n) => "stage('a') { steps { ".repeat(n / 21),
  "list in list": (n) => "- ".repeat(n / 2),
  "deeper lines": (n) => Array.from({ length: Math.sqrt(2 * n) }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
  "one long word": (n) => "a".repeat(n),
  "one long number": (n) => "9".repeat(n),
  spaces: (n) => " ".repeat(n),
  "line ends": (n) => "\n".repeat(n),
  "an unterminated string": (n) => `"${"a ".repeat(n / 2)}`,
  quotes: (n) => '"'.repeat(n),
  apostrophes: (n) => "'".repeat(n),
  backslashes: (n) => "\\".repeat(n),
  "escaped quotes": (n) => '\\"'.repeat(n / 2),
  slashes: (n) => "/".repeat(n),
  "open comments": (n) => "/* ".repeat(n / 3),
  "open expressions": (n) => `${OPEN} `.repeat(n / 4),
  expressions: (n) => `${OPEN} a }}`.repeat(n / 8),
  "open interpolations": (n) => "${".repeat(n / 2),
  dollars: (n) => "$".repeat(n),
  "a long path": (n) => "a.".repeat(n / 2),
  "a long sum": (n) => "a + ".repeat(n / 4),
  "a long choice": (n) => "a && (b || ".repeat(n / 11),
  negations: (n) => "!".repeat(n),
  "many keys": (n) => Array.from({ length: n / 10 }, (_, i) => `k${i}: v`).join("\n"),
  "the same key": (n) => "a: b\n".repeat(n / 5),
  "many commas": (n) => ",".repeat(n),
  anchors: (n) => Array.from({ length: n / 16 }, (_, i) => `a${i}: &a${i} x`).join("\n"),
  "aliases of aliases": (n) => aliases(Math.min(n / 80, 400)),
  "an alias often": (n) => `a: &a [x, x, x, x]\nb: [${"*a, ".repeat(n / 4)}]`,
  "merge keys": (n) => `a: &a { x: 1 }\nb:\n${"  <<: *a\n".repeat(n / 9)}`,
  stars: (n) => "*".repeat(n),
  globs: (n) => "**/".repeat(n / 3),
  dashes: (n) => "-".repeat(n),
  documents: (n) => "---\n".repeat(n / 4),
  surrogates: (n) => "\ud800".repeat(n / 3),
  "Groovy strings": (n) => "'''".repeat(n / 3),
  "Groovy closures": (n) => "a { -> ".repeat(n / 7),
  "pairs of a call": (n) => "a: 1, ".repeat(n / 6),
};

/** Billion laughs: each list holds the one before nine times. */
function aliases(count: number): string {
  const lists = Array.from({ length: count }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(",")}]`);
  return ["a0: &a0 [x]", ...lists].join("\n");
}

/**
 * A text by chance: a seed text that was edited, pieces one after the other, or a shape where a seed text has something
 * else. The same number gives the same text.
 */
export function inputOf(seeds: readonly [string, ...string[]], number: number): string {
  const random = seeded(number);
  const seed = random.pick(seeds);
  switch (random.below(8)) {
    case 0:
      return Array.from({ length: random.below(60) }, () => piece(random)).join("");
    case 1:
      return spliced(seed, shape(random), random);
    case 2:
      return crossed(seed, random.pick(seeds), random);
    default:
      return edited(seed, random);
  }
}

function edited(seed: string, random: Random): string {
  let text = seed;
  for (let edits = 1 + random.below(8); edits > 0; edits -= 1) text = spliced(text, piece(random), random);
  return text;
}

function spliced(text: string, insert: string, random: Random): string {
  const at = random.below(text.length + 1);
  return text.slice(0, at) + insert + text.slice(at + random.below(12));
}

function crossed(one: string, other: string, random: Random): string {
  return one.slice(0, random.below(one.length + 1)) + other.slice(random.below(other.length + 1));
}

function piece(random: Random): string {
  if (random.below(5) > 0) return PIECES[random.below(PIECES.length)] ?? "";
  return Array.from({ length: random.below(8) }, () => String.fromCharCode(random.below(0x10000))).join("");
}

function shape(random: Random): string {
  const makers = Object.values(SHAPES);
  return makers[random.below(makers.length)]?.(1 + random.below(4096)) ?? "";
}
