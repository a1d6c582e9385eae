// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the subject of these files
import { describe, expect, it } from "vitest";
import { parseJenkinsfile } from "./parse-jenkinsfile.ts";

/** A pipeline of one stage with these sections. */
const stage = (sections: string): string =>
  `pipeline {\n agent none\n stages {\n  stage('foo') {\n${sections}\n  }\n }\n}\n`;
const steps = (body: string): string => stage(`steps {\n${body}\n}`);
const top = (sections: string): string =>
  `pipeline {\n agent any\n ${sections}\n stages { stage('foo') { steps { echo 'x' } } }\n}\n`;
const when = (body: string): string => stage(`when {\n${body}\n}\nsteps { echo 'x' }`);
const matrix = (body: string): string => stage(`matrix {\n${body}\n}`);
const INNER = "stages { stage('a') { steps { echo 'x' } } }";
const AXES = "axes { axis { name 'OS'; values 'linux', 'mac' } }";

function messages(source: string): string {
  const { ast, errors } = parseJenkinsfile(source);
  expect(ast).toBeUndefined();
  return errors.map(({ line, column, message }) => `${line}:${column} ${message}`).join("\n");
}

function ast(source: string): string {
  const { ast: tree, errors } = parseJenkinsfile(source);
  expect(errors).toEqual([]);
  return JSON.stringify(tree);
}

/** The JSON of the steps of a stage. */
function stepsOf(body: string): unknown {
  return JSON.parse(ast(steps(body))).pipeline.stages[0].branches[0].steps;
}

const literal = (value: unknown) => ({ isLiteral: true, value });
const code = (value: string) => ({ isLiteral: false, value });

describe("steps", () => {
  it("name a lone value where one parameter must be given, unless they have a block", () => {
    expect(stepsOf("sh 'make'\nretry(3) { sleep 1 }\nfoo 'x'\ninput 'ok?'")).toEqual([
      { name: "sh", arguments: [{ key: "script", value: literal("make") }] },
      {
        name: "retry",
        arguments: literal(3),
        children: [{ name: "sleep", arguments: [{ key: "time", value: literal(1) }] }],
      },
      { name: "foo", arguments: literal("x") },
      { name: "input", arguments: [{ key: "message", value: literal("ok?") }] },
    ]);
  });

  it("keep computed values as source", () => {
    expect(stepsOf(`echo "a \${b}"\necho 'a' + b . c()\nfoo([a: 1])\nfoo([1, 2])\nfoo null\nfoo 1.5`)).toEqual([
      { name: "echo", arguments: [{ key: "message", value: code('"a ${b}"') }] },
      { name: "echo", arguments: [{ key: "message", value: code("${'a'+b . c()}") }] },
      { name: "foo", arguments: [{ key: "a", value: literal(1) }] },
      { name: "foo", arguments: code("${[1, 2]}") },
      { name: "foo", arguments: literal(null) },
      { name: "foo", arguments: literal(1.5) },
    ]);
  });

  it("keep scripts as they stand in the file", () => {
    expect(stepsOf("script {\n  // first\n  def x = 1\n    sh x\n  // last\n}")).toEqual([
      { name: "script", arguments: [{ key: "scriptBlock", value: literal("def x = 1\n    sh x") }] },
    ]);
  });

  it.each([
    ["", "5:7 No steps specified for branch"],
    ["x = 1", "Expected a step"],
    ["foo.bar(1)", 'Method calls on objects not allowed outside "script" blocks.'],
    ["stage('x') { echo 'a' }", 'Invalid step "stage" used'],
    ["echo 'a'\nparallel(a: { echo 'x' })", 'Invalid step "parallel" used'],
    ["properties([])", 'Invalid step "properties" used'],
    ["sleep(unit: 'HOURS')", 'Missing required parameter: "time"'],
    ["sleep(time: 1, banana: 'x')", 'Invalid parameter "banana", did you mean'],
    ["sleep time: 'x', unit: 'HOURS'", 'Expecting "int" for parameter "time" but got "x"'],
    ["sleep 'x'", 'Expecting "int" but got "x"'],
    ["echo 'a', 'b'", 'Arguments to "echo" must be explicitly named.'],
    ["script 'x'", "Script step without a block"],
    ["echo 99999999999999999999", "BigIntegers cannot be used"],
    ["parallel(a: { echo 'x' }, b: 1)", "Expected closure or failFast"],
    ["parallel(a: { echo 'x' }, failFast: 'x')", "Expected a boolean with failFast"],
    ["echo ${BAR}", "cannot be used as a value directly"],
  ])("are refused: %s", (body, message) => {
    expect(messages(steps(body))).toContain(message);
  });
});

describe("sections", () => {
  it("are told with lines and columns, all in one go", () => {
    const source =
      "pipeline {\n  stages {\n    stage('a') { }\n    foo { }\n  }\n  banana { }\n  post { always { } }\n}\n";
    expect(messages(source).split("\n")).toEqual([
      '1:1 Missing required section "agent"',
      '3:5 Expected one of "steps", "stages", or "parallel" for stage "a"',
      "4:5 Expected a stage",
      '6:3 Undefined section "banana"',
      expect.stringContaining("No steps specified for branch"),
    ]);
  });

  it.each([
    [top("environment { }"), "No variables specified for environment"],
    [top("environment { A = 'a'\nA = 'b' }"), 'Duplicate environment variable name: "A"'],
    [top("environment { 1A = 'a' }"), '"1A" is not a valid identifier'],
    [top("environment { A = 'a' - 'b' }"), "can only be joined together with ‘+’s"],
    [top("environment { A = 'a' + b }"), "must be single or double quoted"],
    [top("environment { A = [1] }"), "single quoted, double quoted, or function calls"],
    [top("environment { foo('x') }"), "is not a valid environment expression"],
    [top("environment { 'A' = 'x' }"), "[A] is a constant expression, but it should be a variable expression"],
    [top("options { pipelineTriggers([cron('@daily')]) }"), 'Use the "triggers {...}" directive instead.'],
    [top("options { }"), "options can not be empty"],
    [top("options { timestamps()\ntimestamps() }"), 'Duplicate option name: "timestamps"'],
    [top("options { banana() }"), 'Invalid option type "banana"'],
    [top("options { timeout(time: 1) { } }"), "Options definitions cannot have blocks"],
    [top("options { [a: 1] }"), "Options cannot be defined as maps"],
    [top("options 'x'"), "Expected a block for options"],
    [top("triggers { cron() }"), '"cron" should have 1 arguments but has 0 arguments instead.'],
    [top("triggers { banana('x') }"), 'Invalid trigger type "banana"'],
    [top("parameters { string(namd: 'x') }"), 'Invalid parameter "namd", did you mean "name"?'],
    [top("parameters { string(name: 12) }"), 'Expecting "class java.lang.String" for parameter "name" but got "12"'],
    [top("parameters { string('x', name: 'y') }"), "Cannot mix named and unnamed arguments"],
    [top("parameters { string(name: 'a', description: node('x')) }"), 'Invalid step "node" used'],
    [top("tools { banana 'x' }"), 'Invalid tool type "banana"'],
    [top("tools { maven }"), "Expected to find ‘someTool"],
    [top("libraries { foo('x') }"), "Expected a \"lib(...)\" but got foo('x')"],
    [top("post { banana { echo 'x' } }"), 'Invalid condition "banana"'],
    [top("post { always { echo 'x' }\nalways { echo 'y' } }"), 'Duplicate build condition name: "always"'],
    [top("post { echo 'x' }"), "can only contain build condition names"],
    [top("notifications { }"), "has been removed as of version 0.6"],
    [top("agent any"), "Multiple occurrences of the agent section"],
    ["pipeline { agent { docker 'x'\nlabel 'y' }\nstages { } }", "Only one agent type is allowed per agent section"],
    ["pipeline { agent foo\nstages { } }", 'Only "agent none", "agent any"'],
    ["pipeline { agent { foo 'x' }\nstages { } }", 'Invalid agent type "foo" specified'],
    [
      "pipeline { agent { docker { image 'x'\nfruit 'y' } }\nstages { } }",
      'Invalid config option "fruit" for agent type "docker"',
    ],
    [
      "pipeline { agent { docker { label 'x' } }\nstages { } }",
      'Missing required parameter for agent type "docker": image',
    ],
    ["pipeline { agent { dockerfile { filename 'a/b' } }\nstages { } }", "cannot contain directory separators"],
    ["pipeline { agent { }\nstages { } }", "No agent type specified"],
    ["pipeline { agent any\nstages { } }", "No stages specified"],
    ["pipeline 'x'", 'Expected a block with the "pipeline" step'],
    ["node { pipeline { } }", "pipeline block must be at the top-level"],
    ["node { sh 'x' }", "Did not find a top-level pipeline"],
    [when(""), "Empty when closure"],
    [when("banana 'x'"), "Unknown conditional banana"],
    [when("branch 4"), 'Expecting "class java.lang.String" but got "4"'],
    [when("allOf { }"), 'Nested when condition "allOf" requires at least one child'],
    [when("not { branch 'a'\nbranch 'b' }"), "requires exactly 1 child condition(s)"],
    [when("allOf('x') { branch 'a' }"), "No additional arguments are allowed"],
    [when("branch('x') { branch 'a' }"), "No children when conditions are allowed"],
    [when("environment name: 'A'"), 'Missing required parameter: "value"'],
    [when("changelog '('"), "is not a valid regular expression"],
    [when("beforeAgent 'x'\nbranch 'a'"), "Expected a boolean with beforeAgent"],
    [stage("banana { }"), 'Unknown stage section "banana"'],
    [stage("steps { echo 'x' }\nstages { stage('a') { steps { echo 'x' } } }"), "Only one of"],
    [stage("agent any\nparallel { stage('a') { steps { echo 'x' } } }"), '"agent" is not allowed in stage "foo"'],
    [
      stage("parallel { stage('a') { parallel { stage('b') { steps { echo 'x' } } } } }"),
      'cannot be nested inside another "matrix" or "parallel"',
    ],
    [stage("input { ok 'x' }\nsteps { echo 'x' }"), "No message specified for input"],
    [stage("input { message 'x'\nbanana 'y' }\nsteps { echo 'x' }"), 'Not a valid field for input: "banana"'],
    [
      stage("options { buildDiscarder(logRotator(numToKeepStr: '1')) }\nsteps { echo 'x' }"),
      'Invalid option type "buildDiscarder"',
    ],
    [matrix(INNER), 'Missing required section "axes"'],
    [matrix(AXES), 'Missing required section "stages"'],
    [
      matrix(`axes { axis { name 'OS'; values 'a'; }\naxis { name 'OS'; values 'b' } }\n${INNER}`),
      'Duplicate axis name: "OS"',
    ],
    [matrix(`axes { axis { name 'OS'; values 'a', 'a' } }\n${INNER}`), 'Duplicate axis value: "a"'],
    [matrix(`axes { axis { name 'OS'; values "\${x}" } }\n${INNER}`), 'Expected string literal but got "${x}"'],
    [matrix(`axes { axis { name 'H-Y'; values 'a' } }\n${INNER}`), "is not a valid identifier"],
    [matrix(`axes { }\n${INNER}`), "No axis directives specified"],
    [matrix(`${AXES}\n${INNER}\nbanana { }`), 'Undefined section "banana"'],
    [matrix(`axes { axis { name 'OS'; values 'a'; notValues 'b' } }\n${INNER}`), 'Undefined section "notValues"'],
    [matrix(`axes { axis { name 'OS', 'V'; values 'a' } }\n${INNER}`), 'Too many arguments for field "name"'],
    [matrix(`axes { axis 'OS' }\n${INNER}`), "Expected a block for axis"],
    [matrix(`axes { axis { values 'a' } }\n${INNER}`), 'Missing required section "name"'],
    [matrix(`axes { axis { name 'OS' } }\n${INNER}`), 'Missing required section "values"'],
    [
      stage(`parallel { stage('b') { matrix {\n${AXES}\n${INNER}\n} } }`),
      '"matrix" or "parallel" cannot be nested inside another "matrix" or "parallel".',
    ],
    [stage("parallel { }"), "No stages specified"],
    [stage("steps { echo 'x' }\npost { echo 'done' }"), "post can not be empty"],
    [stage("environment { FOO }\nsteps { echo 'x' }"), "No variables specified for environment"],
    [stage("when { changelog '{id}' }\nsteps { echo 'x' }"), "Illegal repetition"],
    [
      matrix(`${AXES}\nexcludes { exclude { axis { name 'OS'; values 'a'; notValues 'b' } } }\n${INNER}`),
      "Only one of",
    ],
    [matrix(`${AXES}\nexcludes { }\n${INNER}`), "No exclude directives specified"],
  ])("are refused: %s", (source, message) => {
    expect(messages(source)).toContain(message);
  });

  it("have the shapes of Jenkins' own converter", () => {
    const source = `pipeline {
  agent { node { label 'x'; customWorkspace 'w' } }
  environment { A = 'x'; B = "\${A}b" + 'c'; C = credentials('id') }
  options { buildDiscarder(logRotator(numToKeepStr: '1')); skipDefaultCheckout() }
  libraries { lib('a@1') }
  stages {
    stage('one') {
      failFast true
      when { beforeAgent true; not { branch 'main' }; expression { a == b } }
      matrix {
        axes { axis { name 'X'; values 'a', 'b' } }
        excludes { exclude { axis { name 'X'; notValues 'a' } } }
        stages { stage('z') { agent { docker 'i' }\n steps { echo 'x' } } }
      }
    }
  }
}`;
    const { pipeline } = JSON.parse(ast(source));
    expect(pipeline).toMatchObject({
      agent: {
        type: "node",
        arguments: [
          { key: "label", value: literal("x") },
          { key: "customWorkspace", value: literal("w") },
        ],
      },
      environment: [
        { key: "A", value: literal("x") },
        { key: "B", value: code("${A}bc") },
        { key: "C", value: { name: "credentials", arguments: [literal("id")] } },
      ],
      options: {
        options: [
          {
            name: "buildDiscarder",
            arguments: [{ name: "logRotator", arguments: [{ key: "numToKeepStr", value: literal("1") }] }],
          },
          { name: "skipDefaultCheckout", arguments: [] },
        ],
      },
      libraries: { libraries: [literal("a@1")] },
    });
    expect(pipeline.stages[0]).toMatchObject({
      failFast: true,
      when: {
        beforeAgent: true,
        conditions: [
          { name: "not", children: [{ name: "branch", arguments: literal("main") }] },
          { name: "expression", arguments: [{ key: "scriptBlock", value: literal("a == b") }] },
        ],
      },
      matrix: {
        axes: [{ name: "X", values: [literal("a"), literal("b")] }],
        excludes: [[{ name: "X", values: [literal("a")], inverse: true }]],
        stages: [{ name: "z", agent: { type: "docker", argument: literal("i") } }],
      },
    });
  });

  it("name what an input asks for as a section of its own", () => {
    const { pipeline } = JSON.parse(
      ast(stage("input { message 'Go?'\nparameters { string(name: 'n') } }\nsteps { echo 'x' }")),
    );
    expect(pipeline.stages[0].input).toEqual({
      message: literal("Go?"),
      parameters: { parameters: [{ name: "string", arguments: [{ key: "name", value: literal("n") }] }] },
    });
  });

  it("may split in the middle of a sequence", () => {
    const inner = "stages { stage('a') { parallel { stage('b') { steps { echo 'x' } } } } }";
    expect(ast(stage(inner))).toContain('"parallel":[{"name":"b"');
  });

  it.each([
    "environment name: 'A', value: '*x', comparator: 'GLOB', ignoreCase: true",
    "changeset pattern: '.*js', comparator: 'REGEXP', shouldMatchAll: true",
    String.raw`changelog '\\p{Alpha}{2}\\Q{x}\\E'`,
  ])("take conditions with %s", (condition) => {
    expect(ast(when(condition))).toContain('"conditions":[{');
  });

  it("may stand in a library's call", () => {
    expect(ast(`def call(Map config) {\n  if (config.x) {\n ${top("")} }\n}\n`)).toContain('"agent":{"type":"any"}');
  });
});
