import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMasker, MaskSet } from "./mask-set.ts";
import { isMaskable, secretForms } from "./secret-forms.ts";

const encoder = new TextEncoder();

function inPieces(secrets: readonly (string | Uint8Array)[], input: string | Uint8Array, size: number): string {
  const masker = createMasker(secrets);
  const bytes = typeof input === "string" ? encoder.encode(input) : input;
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) out.push(masker.push(bytes.slice(at, at + size)).slice());
  out.push(masker.flush());
  return Buffer.concat(out).toString("latin1");
}

/** In one piece, and byte by byte: the same. */
function masked(secrets: readonly (string | Uint8Array)[], input: string | Uint8Array): string {
  const whole = inPieces(secrets, input, Number.MAX_SAFE_INTEGER);
  expect(inPieces(secrets, input, 1)).toBe(whole);
  return Buffer.from(whole, "latin1").toString("utf8");
}

const PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----\n";
const LOREM = "Lorem ipsum dolor sit amet";

describe("secrets in a stream", () => {
  it.each<[string, readonly string[], string, string]>([
    ["no secret", [], LOREM, LOREM],
    ["one", ["ipsum dolor"], LOREM, "Lorem *** sit amet"],
    [
      "several, none overlapping",
      ["em ipsum", "dolor sit", "t amet"],
      `Lorem ipsum dolor sit at amet`,
      "Lor*** *** a***",
    ],
    ["overlapping ones are one mask", ["ipsum dolor", "dolor sit"], LOREM, "Lorem *** amet"],
    ["one inside another", ["ipsum dolor sit", "m dolor"], LOREM, "Lorem *** amet"],
    ["adjacent ones stay two", ["abcdef", "ghijkl"], "-abcdefghijkl-", "-******-"],
    [
      "one that begins another",
      ["ipsum dolor", "ipsum dolor sit"],
      `${LOREM}; ipsum dolor si`,
      "Lorem *** amet; *** si",
    ],
    ["beginnings that come to nothing", ["aaaaab"], "aaaaaaaaaaab aaaaa", "aaaaaa*** aaaaa"],
    ["many bytes a character", ["ипсум долор"], "Лорем ипсум долор сит", "Лорем *** сит"],
    ["at both ends", ["secret-1"], "secret-1 secret-1", "*** ***"],
    ["only the secret", ["secret-1"], "secret-1", "***"],
    ["spaces around a secret are no part of it", [" secret-1\n"], "<secret-1>", "<***>"],
  ])("%s", (_, secrets, input, expected) => {
    expect(masked(secrets, input)).toBe(expected);
  });

  it("masks a tower of nested ones as far as it goes", () => {
    const tower = ["nested", "a nested", "a nested n", "is a nested needle", "this is a nested needle."];
    expect(masked(tower, "this is a nested needle. this is a nested needles")).toBe("*** this ***s");
  });

  it("decides at the end what has begun, and holds no more than that", () => {
    const masker = createMasker(["supersecret"]);
    expect(Buffer.from(masker.push(encoder.encode("is super"))).toString()).toBe("is ");
    expect(Buffer.from(masker.push(encoder.encode("b, super"))).toString()).toBe("superb, ");
    expect(Buffer.from(masker.flush()).toString()).toBe("super");
    expect(masker.flush()).toHaveLength(0);
  });

  it("masks a secret inside one that is not complete yet", () => {
    const masker = createMasker(["token=abcdef;end", "abcdef"]);
    expect(Buffer.from(masker.push(encoder.encode("token=abcdef;"))).toString()).toBe("");
    expect(Buffer.from(masker.push(encoder.encode("go"))).toString()).toBe("token=***;go");
  });

  it("masks a secret from the moment it is added, also where it has begun", () => {
    const masker = createMasker(["abcdefghi"]);
    const first = masker.push(encoder.encode("later-secret abcdef"));
    expect(masker.add("later-secret")).toBe(true);
    expect(masker.add("abcdefXYZ")).toBe(true);
    const rest = masker.push(encoder.encode("XYZ later-secret."));
    expect(Buffer.concat([first, rest]).toString()).toBe("later-secret *** ***.");
  });

  it.each([
    ["LF", "\n"],
    ["CRLF", "\r\n"],
    ["CR CR LF", "\r\r\n"],
    ["a space", " "],
  ])("masks a secret of several lines joined by %s", (_, end) => {
    expect(masked([PEM], `key: ${PEM.trim().replaceAll("\n", end)}!`)).toBe("key: ***!");
  });

  it("masks each line of a secret by itself, whatever is between them", () => {
    const [a, b, c, d] = PEM.split("\n");
    expect(masked([PEM], `${a}\t\n  ${b}\n\n${c} | ${d}`)).toBe("***\t\n  ***\n\n*** | ***");
  });

  it("neither masks short values nor finds them too long", () => {
    expect(masked(["docker", "abcde", ""], "docker abcde")).toBe("*** abcde");
    expect([isMaskable("abcde"), isMaskable(" abcde\n"), isMaskable("abcdef")]).toEqual([false, false, true]);
    expect(new MaskSet().add("abcde")).toBe(false);
  });

  it("keeps what is no text as it is", () => {
    const bytes = Uint8Array.from({ length: 512 }, (_, index) => index);
    expect(Buffer.from(inPieces(["secret-1"], bytes, 7), "latin1")).toEqual(Buffer.from(bytes));
    const binary = Uint8Array.of(255, 254, 0, 253, 252, 1, 251);
    const other = Uint8Array.of(255, 254, 0, 253, 252, 1, 250);
    expect(masked([binary, other], Buffer.concat([binary, Buffer.from("-"), other]))).toBe("***-***");
  });
});

describe("secrets in other forms", () => {
  const secret = `p&ss<w>"o'rd\\ /+é$x y?~`;
  it.each<[string, string]>([
    ["a URL", encodeURIComponent(secret)],
    ["a URL, in lower case", encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase())],
    ["a form", new URLSearchParams({ s: secret }).toString().slice(2).replaceAll("%7E", "~")],
    ["JSON", JSON.stringify(secret)],
    ["JSON in JSON", JSON.stringify(JSON.stringify({ secret }))],
    ["ASCII JSON", JSON.stringify(secret).replace("é", "\\u00e9")],
    ["PHP's JSON", JSON.stringify(secret).replace("/", "\\/")],
    ["Go's JSON", JSON.stringify(secret).replace(/[<>&]/g, (mark) => `\\u00${mark.charCodeAt(0).toString(16)}`)],
    ["XML", `p&amp;ss&lt;w&gt;"o'rd\\ /+é$x y?~`],
    ["an XML attribute", "p&amp;ss&lt;w&gt;&quot;o&apos;rd\\ /+é$x y?~"],
    ["HTML of Go", "p&amp;ss&lt;w&gt;&#34;o&#39;rd\\ /+é$x y?~"],
    ["a trace of sh", `'${secret.replaceAll("'", "'\\''")}'`],
    ["hex", Buffer.from(secret).toString("hex")],
    ["HEX", Buffer.from(secret).toString("hex").toUpperCase()],
  ])("finds it in %s", (_, form) => {
    const out = masked([secret], `before ${form} after`);
    expect(out).toContain("***");
    expect(out.replaceAll("***", "")).not.toMatch(/ss|rd|c3|C3/);
  });

  it.each(["printf %q", "set -x"])("finds it as bash shows it: %s", (how) => {
    const shown = how === "set -x" ? `'p&ss w'\\''o$rd'` : "p\\&ss\\ w\\'o\\$rd";
    expect(masked(["p&ss w'o$rd"], shown)).toMatch(/^'?\*\*\*'?$/);
  });

  it("finds every alignment of base64, in both alphabets, and broken into lines", () => {
    for (const value of ["secret-1", "s?>~€ret", "x".repeat(200)]) {
      for (const prefix of ["", "u", "us", "use", "user:"]) {
        for (const suffix of ["", "\n", ":", "::"]) {
          for (const alphabet of ["base64", "base64url"] as const) {
            const text = Buffer.from(prefix + value + suffix).toString(alphabet);
            const left = masked([value], text).replaceAll("***", "");
            // At each end one character may hold bits of the secret and of its neighbour, and padding follows.
            expect(left.length).toBeLessThanOrEqual(Math.ceil(((prefix.length + suffix.length) * 4) / 3) + 5);
          }
        }
      }
    }
    for (const value of ["secret-1", "secret-12", "secret-123"]) {
      expect(masked([value], Buffer.from(value).toString("base64"))).toMatch(/^\*{3}=*$/);
    }
    const lines = (
      Buffer.from("x1y2".repeat(60))
        .toString("base64")
        .match(/.{1,76}/g) ?? []
    ).join("\n");
    expect(masked(["x1y2".repeat(60)], lines)).toMatch(/^[*\n]+$/);
  });

  it("has no form that is too short, and none twice", () => {
    const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(text, (value) => {
        const forms = secretForms(value).map((form) => Buffer.from(form).toString("latin1"));
        expect(forms.every(({ length }) => length >= 6)).toBe(true);
        expect(new Set(forms).size).toBe(forms.length);
      }),
    );
  });
});

describe("users in URLs", () => {
  it.each<[string, string]>([
    ["git clone https://me:s3cr3t@example.com/x.git", "git clone https://***@example.com/x.git"],
    ["https://me:p@ss:word@h:8080", "https://***@h:8080"],
    ["https://ghp_0123456789abcdef01@github.com", "https://***@github.com"],
    ["ssh://git@github.com/a and http://a/@b:c@d", "ssh://git@github.com/a and http://a/@b:c@d"],
    ["at 10:20:30 a::b c:/d e:///f:g@h", "at 10:20:30 a::b c:/d e:///f:g@h"],
    ["redis://:pass@h redis://:pass@", "redis://***@h redis://***@"],
  ])("%s", (input, expected) => {
    expect(masked(["not-in-it"], input)).toBe(expected);
  });

  it("gives up where no user part is that long", () => {
    const url = `http://u:${"x".repeat(2000)}@h`;
    expect(masked([], url)).toBe(url);
  });
});

describe("properties", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "c", "\n", " "), minLength: 6, maxLength: 12 });
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "\n", " "), maxLength: 200 });

  it("lets no secret through, however it is cut", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), text, fc.integer({ min: 1, max: 40 }), (secrets, input, size) => {
        const out = inPieces(secrets, input, size);
        expect(out).toBe(inPieces(secrets, input, input.length + 1));
        const longest = secrets.filter(isMaskable).map((secret) => secret.trim());
        for (const secret of longest) expect(out).not.toContain(secret);
      }),
      { numRuns: 300 },
    );
  });

  it("masks exactly what a search of every form at every place finds", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 4 }), text, (secrets, input) => {
        expect(inPieces(secrets, input, 13)).toBe(bySearch(secrets, input));
      }),
      { numRuns: 300 },
    );
  });

  it("goes on as if nothing had been, when it is read again from the first byte that was held", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), text, fc.nat(200), (secrets, input, at) => {
        const set = new MaskSet(secrets);
        const before = set.stream();
        const bytes = encoder.encode(`${input} https://u:p@h/ ${input}`);
        const first = before.push(bytes.slice(0, at));
        const after = set.stream();
        const rest = after.push(bytes.slice(Math.min(at, bytes.length) - before.held));
        const out = Buffer.concat([first, rest, after.flush()]).toString();
        expect(out).toBe(set.text(Buffer.from(bytes).toString()));
      }),
      { numRuns: 300 },
    );
  });

  it("takes time in proportion to the text, whatever the secrets are", () => {
    const secrets = ["a".repeat(2000), `${"a".repeat(1000)}b`, "ab".repeat(700)];
    const count = (length: number): number => {
      let reads = 0;
      const bytes = new Proxy(new Uint8Array(length).fill(97), {
        get: (target, key) => {
          if (typeof key === "string" && /^\d+$/.test(key)) reads += 1;
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      createMasker(secrets).push(bytes);
      return reads;
    };
    expect(count(40_000)).toBeLessThan(4.5 * count(10_000));
  });
});

/** What the masker is to do, done the slow way. */
function bySearch(secrets: readonly string[], input: string): string {
  const forms = secrets.flatMap((secret) => secretForms(secret)).map((form) => Buffer.from(form).toString("latin1"));
  const ends = new Map<number, number>();
  for (const form of forms) {
    for (let at = input.indexOf(form); at >= 0; at = input.indexOf(form, at + 1)) {
      ends.set(at + form.length, Math.min(at, ends.get(at + form.length) ?? at));
    }
  }
  const spans: [number, number][] = [];
  for (const [end, start] of [...ends].sort(([a], [b]) => a - b)) {
    let least = start;
    while ((spans.at(-1)?.[1] ?? 0) > least) least = Math.min(least, spans.pop()?.[0] ?? least);
    spans.push([least, end]);
  }
  let out = "";
  let from = 0;
  for (const [start, end] of spans) {
    out += `${input.slice(from, start)}***`;
    from = end;
  }
  return out + input.slice(from);
}
