import { ReportKind } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readCobertura } from "./cobertura.ts";
import { readJunit } from "./junit.ts";
import { readReport } from "./read-report.ts";
import { InvalidReport } from "./report.ts";
import { readSarif } from "./sarif.ts";

const JUNIT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="all" tests="99">
  <testsuite name="s" tests="4" failures="1" time="7">
    <properties><property name="x" value="y"/></properties>
    <testcase classname="a.B" name="adds" time="0.5"/>
    <testcase classname="a.B" name="fails" time="1.25"><failure message="expected 1 &lt; 0&#10;at line 2" type="E">trace</failure></testcase>
    <testcase name="breaks" time="1,000.25"><error type="NullPointer"/><failure message="second"/></testcase>
    <testcase name="later"><skipped/></testcase>
  </testsuite>
</testsuites>`;

describe("JUnit", () => {
  it("counts cases, not what suites say", () => {
    const { metrics, troubles, summary } = readJunit([JUNIT, '<testsuite><testcase name="one"/></testsuite>']);
    expect(metrics).toEqual({ tests: 5, failures: 2, skipped: 1, test_seconds: 1002 });
    expect(troubles).toEqual(["a.B.fails: expected 1 < 0 at line 2", "breaks: NullPointer"]);
    expect(summary).toBe("5 tests, 2 failed, 1 skipped, 1002.0 s");
  });

  it("names the first 20 failures and counts all", () => {
    const cases = Array.from({ length: 30 }, (_, i) => `<testcase name="t${i}"><failure/></testcase>`).join("");
    const { troubles, troubleCount } = readJunit([`<testsuite>${cases}</testsuite>`]);
    expect([troubles.length, troubles[19], troubleCount]).toEqual([20, "t19", 30]);
  });
});

describe("what is hostile", () => {
  const bomb = `<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>`;
  const outside = `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite>&a;</testsuite>`;

  it.each([
    ["entities", bomb],
    ["files", outside],
    ["depth", "<a>".repeat(1_000)],
    ["no end", "<testsuite><testcase>"],
    ["no XML", "ok 1 - adds"],
  ])("is refused: %s", (_, text) => {
    expect(() => readJunit([text])).toThrow(InvalidReport);
  });

  it("never ends in anything but figures or a refusal", () => {
    const piece = fc.constantFrom(
      "<testcase",
      ' name="a"',
      " time='-1e999'",
      ">",
      "</testcase>",
      "<![CDATA[",
      "]]>",
      "&lt;",
      "\0",
      "<failure/>",
    );
    const xml = fc.array(piece, { maxLength: 30 }).map((parts) => `<r>${parts.join("")}</r>`);
    fc.assert(
      fc.property(fc.oneof(xml, fc.string(), fc.json()), (text) => {
        for (const kind of [ReportKind.JUNIT, ReportKind.COBERTURA, ReportKind.SARIF] as const) {
          const { figures, unreadable } = readReport(kind, [{ path: "f", text }]);
          expect(figures === undefined).toBe(unreadable.length === 1);
          for (const value of Object.values(figures?.metrics ?? {})) expect(value).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

describe("Cobertura", () => {
  const doctype = '<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">';
  const lines = `<lines><line number="1" hits="1"/><line number="2" hits="0" branch="true" condition-coverage="50% (1/2)"/></lines>`;
  const classes = `<packages><package><classes><class><methods><method>${lines}</method></methods>${lines}</class></classes></package></packages>`;

  it("takes totals", () => {
    const text = `${doctype}<coverage lines-valid="10" lines-covered="8" branches-valid="4" branches-covered="1">${classes}</coverage>`;
    expect(readCobertura([text]).metrics).toEqual({ line_coverage: 0.8, branch_coverage: 0.25 });
  });

  it("counts lines where there are none, and those of methods once", () => {
    expect(readCobertura([`<coverage line-rate="0.9">${classes}</coverage>`]).metrics).toEqual({
      line_coverage: 0.5,
      branch_coverage: 0.5,
    });
  });

  it("weighs files by their lines", () => {
    const [a, b] = [90, 10].map((valid, i) => `<coverage lines-valid="${valid}" lines-covered="${i === 0 ? 90 : 0}"/>`);
    expect(readCobertura([a ?? "", b ?? ""]).metrics).toEqual({ line_coverage: 0.9 });
  });

  it("takes rates when there is nothing else", () => {
    expect(readCobertura(['<coverage line-rate="0.25" branch-rate="1"/>']).metrics).toEqual({
      line_coverage: 0.25,
      branch_coverage: 1,
    });
  });

  it("refuses other XML", () => {
    expect(() => readCobertura(["<testsuite/>"])).toThrow("not of Cobertura");
    expect(() => readCobertura(["<coverage/>"])).toThrow("no figures");
  });
});

describe("SARIF", () => {
  it("counts what failed and is not suppressed, by result, rule or default", () => {
    const at = { physicalLocation: { artifactLocation: { uri: "a.ts" }, region: { startLine: 3 } } };
    const log = {
      version: "2.1.0",
      runs: [
        {
          tool: { driver: { rules: [{ id: "r1", defaultConfiguration: { level: "error" } }, { id: "r2" }] } },
          results: [
            { ruleId: "r1", message: { text: "by rule" }, locations: [at] },
            { ruleIndex: 0, level: "note", message: { text: "by result" } },
            { ruleId: "r2" },
            { ruleId: "r1", kind: "pass" },
            { ruleId: "r1", level: "none" },
            { ruleId: "r1", suppressions: [{ kind: "inSource" }] },
          ],
        },
      ],
    };
    const { metrics, troubles } = readSarif([JSON.stringify(log)]);
    expect(metrics).toEqual({ findings: 3, errors: 1, warnings: 1, notes: 1 });
    expect(troubles).toEqual(["error: a.ts:3: by rule", "note: by result", "warning: r2"]);
  });

  it("refuses other JSON", () => {
    expect(() => readSarif(["[]"])).toThrow("not SARIF");
    expect(() => readSarif(["{"])).toThrow("not JSON");
  });
});

it("one bad file does not spoil the others", () => {
  const files = [
    { path: "a.xml", text: JUNIT },
    { path: "b.xml", text: "no" },
  ];
  const { figures, unreadable } = readReport(ReportKind.JUNIT, files);
  expect(figures?.metrics.tests).toBe(4);
  expect(unreadable).toEqual([expect.stringMatching(/^b\.xml is not XML/)]);
});
