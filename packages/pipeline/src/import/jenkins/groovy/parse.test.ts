// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the subject of these files
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Expression } from "./nodes.ts";
import { parseGroovy } from "./parse.ts";
import { GroovySyntaxError } from "./tokens.ts";

function only(source: string): Expression {
  const [statement, ...others] = parseGroovy(source).statements;
  if (statement?.kind !== "expression" || others.length > 0) throw new Error("not one expression");
  return statement.expression;
}

/** The lone argument of a call. */
function argument(source: string): Expression {
  const call = only(source);
  if (call.kind !== "call" || call.args[0] === undefined) throw new Error("not a call with an argument");
  return call.args[0];
}

describe("strings", () => {
  it.each([
    [String.raw`sh 'echo "hi" $HOME \${X}'`, 'echo "hi" $HOME ${X}'],
    [String.raw`sh 'it\'s \\ \n \t \$ \u0041 \101'`, "it's \\ \n \t $ A A"],
    ["sh '''l1\n  'q' \"d\" \\\ncont'''", "l1\n  'q' \"d\" cont"],
    ['sh """\\\n x"""', " x"],
    [String.raw`sh(/re\d+\/x/)`, String.raw`re\d+/x`],
    [String.raw`sh($/a $$ $/ \b/$)`, String.raw`a $ / \b`],
    ['sh ""', ""],
  ])("%s has the value that Groovy gives it", (source, value) => {
    expect(argument(source)).toMatchObject({ kind: "constant", value });
  });

  it("hold code, with strings in it", () => {
    const source = String.raw`echo "a $x b \${y.z} \$HOME $p.q.r() \${'{' + "\${e}"}d"`.replaceAll(
      String.raw`\${`,
      "${",
    );
    const read = argument(source);
    if (read.kind !== "gstring") throw new Error("no code in it");
    const shown = read.parts.map((part) => (part.kind === "text" ? part.text : `<${part.expression?.kind}>`));
    expect(shown.join("")).toBe("a <variable> b <property> $HOME <property>() <binary>d");
  });

  it.each([
    [String.raw`sh '\q'`, "no such escape"],
    ['sh "$5"', "illegal string body character after dollar sign"],
    ["sh 'a\nb'", "expecting ', found the end of the line"],
    ["sh 'a", "expecting ', found the end of the file"],
    [String.raw`sh /re\d+/`, "unexpected char"],
    ['sh "${a"', "found the end of the file"],
    ["sh('a'", "this bracket is not closed"],
    ["a)", "unexpected token: )"],
    ["(a]", "expecting ')', found ']'"],
    ["/* a", "expecting */"],
    ["x = ¬", "unexpected char"],
    ["x = 1_", "expecting token in range: '0'..'9'"],
    ["1_A = 2", "expecting token in range: '0'..'9', found 'A'"],
    ["'a' = 2", "[a] is a constant expression, but it should be a variable expression"],
    ["a-b.c = 2", "(a - b.c) is a binary expression, but it should be a variable expression"],
    ["f(1) = 2", '"this.f(1)" is a method call expression, but it should be a variable expression'],
  ])("%s is refused", (source, message) => {
    expect(() => parseGroovy(source)).toThrow(message);
  });
});

describe("commands", () => {
  it("go on over lines where Groovy lets them", () => {
    expect(only("sh 'a' \\\n + 'b'")).toMatchObject({ args: [{ kind: "binary", operator: "+" }] });
    expect(only("sh 'a',\n 'b'")).toMatchObject({ args: [{ value: "a" }, { value: "b" }] });
    expect(only("x\n{ a }")).toMatchObject({ kind: "call", args: [{ kind: "closure" }] });
    expect(only("a\n  .b()\n  ?.c()")).toMatchObject({ kind: "call", method: { value: "c" } });
  });

  it("are calls of each other's results", () => {
    expect(only("a b c d")).toMatchObject({ target: { method: { value: "a" } }, method: { value: "c" } });
    expect(only("a b c")).toMatchObject({ kind: "property", name: "c" });
    expect(only("a { } b { }")).toMatchObject({ target: { method: { value: "a" } }, method: { value: "b" } });
  });

  it("have their named arguments first", () => {
    expect(only("y 1, c: 2, 'd e': 3")).toMatchObject({
      args: [{ kind: "map", entries: [{ key: { value: "c" } }, { key: { value: "d e" } }] }, { value: 1 }],
    });
    expect(() => parseGroovy("f(a: 1, a: 2)")).toThrow("Duplicate named parameter 'a' found.");
  });
});

describe("programs", () => {
  it("are read as far as they must be", () => {
    const source = `#!groovy
@Library('x@1') _
import static java.lang.Math.*
@NonCPS
def parse(String text, Map<String, List<Integer>> m = [:], int... rest) throws Exception {
  for (int i = 0, j = 1; i < 3; i++) { if (i == 2) continue else println "x" }
  for (t in m) echo t
  try { a() } catch (IOException | RuntimeException e) { throw e } finally { b() }
  switch (x) { case 'a': c(); break
    case ['b', ~/c/]: d()
    default: e() }
  while (x < 10) { x += 2 * y ** 3 % 4; x++ }
  def (q, r) = [1, 2]
  def n = m.findAll { k, v = 2 -> k instanceof Integer && (v as String) != 'a' }*.key.sort()
  assert n : "empty"
  String s = (String) obj; int[] arr = new int[10]; List<String> l = new ArrayList<>()
  y = a ? b : c ?: -1..5
  return obj?.foo(1, *args, k: 2) { inner }
}
class A { int x; def y() { 1 } }
final VERSION = "1.\${env.BUILD_NUMBER}"
`;
    expect(parseGroovy(source).statements.map(({ kind }) => kind)).toEqual([
      "other",
      "other",
      "method",
      "other",
      "other",
    ]);
  });

  it.each([
    "goto x",
    "return foo bar",
    "x = -> 1",
    "{ a }",
    "A-B = 2",
    "if a b",
    "def = 1",
    "f(a: )",
    "else b",
    "[a: 1, b]",
  ])("are refused with %s", (source) => {
    expect(() => parseGroovy(source)).toThrow(GroovySyntaxError);
  });
});

describe("hostile source", () => {
  const words = fc.constantFrom(
    ...[
      "pipeline",
      "{",
      "}",
      "(",
      ")",
      "[",
      "]",
      "'a'",
      '"b"',
      '"${',
      "${",
      "'''",
      "/",
      "$/",
      "/*",
      "//",
      "\n",
      ";",
      ",",
    ],
    ...[
      ":",
      "->",
      "?",
      ".",
      "=",
      "def",
      "if",
      "else",
      "for",
      "new",
      "x",
      "1",
      "+",
      "-",
      "!",
      "@",
      "\\",
      "<",
      ">",
      "as",
    ],
  );

  it("is read or refused, and nothing else", () => {
    fc.assert(
      fc.property(fc.array(words, { maxLength: 60 }), fc.constantFrom("", " "), (tokens, between) => {
        try {
          parseGroovy(tokens.join(between));
        } catch (error) {
          expect(error).toBeInstanceOf(GroovySyntaxError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ["brackets", "(".repeat(200_000)],
    ["braces", "a {".repeat(100_000)],
    ["strings in strings", '"${'.repeat(100_000)],
    ["generics", "Map<".repeat(200_000)],
    ["casts", "(A)".repeat(200_000)],
    ["signs", "!".repeat(200_000)],
    ["ternaries", "a ? ".repeat(100_000)],
    ["sums", `x = ${"a + ".repeat(100_000)}b`],
    ["dots", `a${".b".repeat(200_000)}`],
    ["calls", `a${"()".repeat(200_000)}`],
    ["commands", "a b ".repeat(100_000)],
    ["arrows to come", "{ a, ".repeat(100_000)],
    ["a string", `sh '${"x\\n".repeat(300_000)}'`],
    ["no end", `sh "${"x".repeat(900_000)}`],
    ["comments", "/* * ".repeat(200_000)],
    ["labels", "a: ".repeat(200_000)],
    ["else", "if (a) b else ".repeat(100_000)],
    ["newlines", "\n".repeat(900_000)],
  ])("of many %s takes time in proportion, and no depth of the stack", (_, source) => {
    try {
      parseGroovy(source);
    } catch (error) {
      expect(error).toBeInstanceOf(GroovySyntaxError);
    }
  });
});
