import { MAX_TROUBLES, oneLine, type ReportFigures } from "./report.ts";
import { amountOf, readXml, type XmlAttributes } from "./xml-elements.ts";

type Outcome = "passed" | "failed" | "skipped";

/**
 * Counts the test cases of JUnit files: the format that Ant's task began and everybody varies, so only what all agree on is
 * looked at. A case counts once; errors are failures.
 *
 * @throws InvalidReport.
 */
export function readJunit(texts: readonly string[]): ReportFigures {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const troubles: string[] = [];
  let seconds = 0;
  for (const text of texts) {
    readCases(text, ({ name, outcome, seconds: took, message }) => {
      count[outcome] += 1;
      seconds += took;
      if (outcome === "failed" && troubles.length < MAX_TROUBLES)
        troubles.push(message === "" ? name : `${name}: ${message}`);
    });
  }
  const tests = count.passed + count.failed + count.skipped;
  return {
    metrics: { tests, failures: count.failed, skipped: count.skipped, test_seconds: seconds },
    ...{ troubles, troubleCount: count.failed },
    summary: `${tests} tests, ${count.failed} failed, ${count.skipped} skipped, ${seconds.toFixed(1)} s`,
  };
}

interface TestCase {
  readonly name: string;
  outcome: Outcome;
  readonly seconds: number;
  message: string;
}

function readCases(text: string, take: (testCase: TestCase) => void): void {
  let current: TestCase | undefined;
  readXml(text, {
    open: (name, attributes) => {
      if (name === "testcase") current = caseOf(attributes);
      else if (current !== undefined) judge(current, name, attributes);
    },
    close: (name) => {
      if (name !== "testcase" || current === undefined) return;
      take(current);
      current = undefined;
    },
  });
}

function caseOf(attributes: XmlAttributes): TestCase {
  const { classname = "", name = "" } = attributes;
  const full = classname === "" || name.startsWith(classname) ? name : `${classname}.${name}`;
  return { name: oneLine(full), outcome: "passed", seconds: amountOf(attributes, "time") ?? 0, message: "" };
}

function judge(testCase: TestCase, name: string, { message = "", type = "" }: XmlAttributes): void {
  if (name === "failure" || name === "error") {
    testCase.outcome = "failed";
    testCase.message ||= oneLine(message || type);
  } else if (name === "skipped" && testCase.outcome === "passed") testCase.outcome = "skipped";
}
