import { expect, test } from "vitest";
import { lintPipeline } from "../pipeline-compile.ts";

const use = `lint@sha256:${"0".repeat(64)}`;
const file = (given: string) => `name: p
parameters: { path: { type: string } }
jobs:
  first: { steps: [{ run: "true" }] }
  a: { needs: [first], steps: [{ use: "${use}", with: ${given} }] }
`;

const said = (source: string) => lintPipeline(source).map(({ field, message }) => `${field}: ${message}`);

test("a component that nobody looked up is a warning, and its inputs use what they refer to", () => {
  const given = `{ path: "\${{ params.path }}", n: 3, v: "\${{ jobs.first.outputs.v }}", none: '' }`;
  expect(said(file(given))).toEqual([
    expect.stringMatching(/jobs\.a\.steps\[0\]\.use: the component .* was not looked up/),
  ]);
});

test("what its inputs refer to must be there", () => {
  const found = said(file(`{ path: "\${{ params.path }}", v: "\${{ jobs.nope.outputs.v }}" }`));
  expect(found).toContainEqual(expect.stringContaining('no job is called "nope"'));
});
