// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the subject of these files
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compilePipeline } from "../../pipeline-compile.ts";
import { show } from "../../testing/diagnostics.ts";
import { importJenkinsfile } from "./import-jenkinsfile.ts";

/** The compiled jobs by name, what is in them, and the notes that are not exact. */
function imported(source: string, parameters: Readonly<Record<string, string>> = {}) {
  const { source: text, notes, errors } = importJenkinsfile(source, "demo");
  expect(errors).toEqual([]);
  if (text === undefined) throw new Error("no pipeline");
  const { spec, diagnostics } = compilePipeline(text, { parameters });
  expect(show(diagnostics.filter((it) => !show([it])[0]?.includes("warning")))).toEqual([]);
  if (spec === undefined) throw new Error("no spec");
  const inexact = notes
    .filter((it) => it.fidelity !== "exact")
    .map((it) => `${it.line} ${it.fidelity} ${it.construct}`);
  return { text, notes, spec, jobs: new Map(spec.jobs.map((job) => [job.name, job])), inexact };
}

/** The steps of a job: scripts, or what else they are. */
function scripts(job: ReturnType<typeof imported>["spec"]["jobs"][number] | undefined): string[] {
  const steps = job?.work.case === "steps" ? job.work.value.steps : [];
  return steps.map(({ action }) =>
    action.case === "run" ? action.value.script || action.value.command.join(" ") : (action.case ?? ""),
  );
}

const stage = (name: string, body: string): string => `stage('${name}') {\n${body}\n}`;
const pipeline = (stages: string, sections = "agent any"): string =>
  `pipeline {\n${sections}\nstages {\n${stages}\n}\n}\n`;
const one = (steps: string, sections?: string): string => pipeline(stage("one", `steps {\n${steps}\n}`), sections);

const MAVEN = `pipeline {
  agent { docker { image 'maven:3.9'; args '-v /root/.m2:/root/.m2' } }
  options { skipStagesAfterUnstable() }
  stages {
    stage('Build') { steps { sh 'mvn -B -DskipTests clean package' } }
    stage('Test') {
      steps { sh 'mvn test' }
      post { always { junit 'target/surefire-reports/*.xml' } }
    }
    stage('Deliver') { steps { sh './jenkins/scripts/deliver.sh' } }
  }
}`;

describe("the pipeline of every tutorial", () => {
  it("is one job, with all of it exact", () => {
    const { spec, inexact } = imported(MAVEN);
    expect(inexact).toEqual([]);
    expect(spec.jobs).toHaveLength(1);
    expect(spec.jobs[0]).toMatchObject({
      name: "build",
      image: "maven:3.9",
      caches: [{ paths: ["~/.m2"], restoreKeys: ["m2-"] }],
      artifacts: [{ paths: ["target/surefire-reports/*.xml"] }],
    });
    expect(scripts(spec.jobs[0])).toEqual([
      ...["checkout", "mvn -B -DskipTests clean package", "mvn test", "./jenkins/scripts/deliver.sh"],
    ]);
  });
});

describe("stages", () => {
  it("that are left out on conditions are jobs, which take over the files", () => {
    const source = pipeline(
      [
        stage("build", "steps { sh 'make' }"),
        stage("deploy", "when { branch 'main' }\nsteps { sh 'ship' }"),
        stage("tidy", "steps { sh 'tidy' }"),
      ].join("\n"),
    );
    const { jobs, inexact } = imported(source);
    expect([...jobs.keys()]).toEqual(["build", "deploy", "tidy"]);
    expect(jobs.get("deploy")).toMatchObject({ needs: ["build"], inputs: [{ job: "build", name: "workspace" }] });
    expect(jobs.get("tidy")).toMatchObject({
      optionalNeeds: ["deploy"],
      inputs: [{ job: "build" }, { job: "deploy" }],
    });
    expect(scripts(jobs.get("deploy"))).toEqual(["ship"]);
    expect(inexact).toEqual(["7 approximate workspace", "11 approximate workspace"]);
  });

  it("with agents of their own begin with the source", () => {
    const source = pipeline(
      [
        stage("a", "agent { label 'linux && !spot' }\nsteps { sh 'a' }"),
        stage("b", "agent { docker 'node:24' }\nsteps { sh 'b' }"),
      ].join("\n"),
      "agent none",
    );
    const { jobs, inexact } = imported(source);
    expect(inexact).toEqual([]);
    expect(scripts(jobs.get("b"))).toEqual(["checkout", "b"]);
    expect(jobs.get("b")).toMatchObject({ needs: ["a"], image: "node:24" });
    expect(jobs.get("a")?.placement?.constraints).toHaveLength(2);
  });

  it("beside each other are jobs beside each other", () => {
    const inner = ["x", "y"].map((name) => stage(name, `agent any\nsteps { sh '${name}' }`)).join("\n");
    const source = pipeline(
      `${stage("both", `parallel {\n${inner}\n}`)}\n${stage("end", "agent any\nsteps { sh 'end' }")}`,
      "agent none",
    );
    const { jobs } = imported(source);
    expect([...jobs.values()].map(({ name, needs }) => [name, needs])).toEqual([
      ["x", []],
      ["y", []],
      ["end", ["x", "y"]],
    ]);
  });

  it("of a matrix are jobs for each combination, without those left out", () => {
    const source = pipeline(
      stage(
        "m",
        `matrix {
          axes { axis { name 'OS'; values 'linux', 'mac' }\naxis { name 'V'; values '1', '2', '3' } }
          excludes { exclude { axis { name 'OS'; values 'mac' }\naxis { name 'V'; notValues '1' } } }
          agent { label "\${OS}" }
          stages { stage('t') { steps { sh "test \${V}" } } }
        }`,
      ),
      "agent none",
    );
    const { spec } = imported(source);
    expect(spec.jobs.map(({ matrix }) => `${matrix["OS"]}${matrix["V"]}`)).toEqual([
      "linux1",
      "linux2",
      "linux3",
      "mac1",
    ]);
    expect(spec.jobs[0]).toMatchObject({ env: { OS: "linux", V: "1" } });
    expect(scripts(spec.jobs[0])).toEqual(["checkout", "test ${V}"]);
  });

  it("of many steps are several jobs, as a job has a bound", () => {
    const many = Array.from({ length: 30 }, (_, i) => stage(`s${i}`, `steps {\n${"sh 'x'\n".repeat(9)}}`));
    const { spec } = imported(pipeline(many.join("\n")));
    expect(spec.jobs.map((job) => scripts(job).filter((it) => it === "x").length)).toEqual([54, 54, 54, 54, 54]);
  });

  it("that ask are approvals", () => {
    const { jobs } = imported(
      pipeline(stage("ship", "input { message 'Ship it?'\nsubmitter 'alice,bob' }\nsteps { sh 'x' }")),
    );
    expect(jobs.get("ship-approval")?.work).toMatchObject({
      value: { message: "Ship it?", approvers: ["alice", "bob"] },
    });
    expect(jobs.get("ship")?.needs).toEqual(["ship-approval"]);
  });

  it("that start another pipeline call it", () => {
    const body =
      "steps { build job: 'folder/Other', wait: false, parameters: [string(name: 'V', value: \"${env.BUILD_ID}\")] }";
    const { jobs } = imported(pipeline(stage("go", body)));
    expect(jobs.get("go")?.work).toMatchObject({
      value: { pipeline: "other", detach: true, parameters: { V: "${{ run.id }}" } },
    });
  });
});

describe("conditions", () => {
  it.each([
    ["branch 'release/*'", "branch:\n        - release/*"],
    ["branch pattern: 'v\\\\d+', comparator: 'REGEXP'", "matches: ^(?:v\\d+)$"],
    ["tag 'v*'", "tag:\n        - v*"],
    ["buildingTag()", "matches: ."],
    ["changeset 'src/**'", "changed:\n        - src/**"],
    ["changeRequest target: 'main'", "event:\n        - pull-request"],
    ["environment name: 'KIND', value: 'full'", "value: nightly"],
    ["equals expected: 'a', actual: params.KIND2", "value: ${{ parameters.KIND2 }}"],
    ["triggeredBy 'TimerTrigger'", "event:\n        - cron"],
    ["expression { params.KIND2 == 'b' && env.BRANCH_NAME != 'main' }", "not:"],
    [
      "expression { return !params.SKIP }",
      'not:\n        not:\n          values:\n            - value: ${{ parameters.SKIP }}\n              equals:\n                - ""\n                - "false"',
    ],
    ["anyOf { branch 'a'; not { tag 'b' } }", "any:"],
    ["branch 'a'\ntag 'b'", "branch:\n        - a\n      tag:\n        - b"],
  ])("%s", (condition, expected) => {
    const sections = `agent any
      environment { KIND = 'nightly' }
      parameters { choice(name: 'KIND2', choices: ['a', 'b']); booleanParam(name: 'SKIP', defaultValue: false) }`;
    const { text, inexact } = imported(pipeline(stage("x", `when {\n${condition}\n}\nsteps { sh 'x' }`), sections));
    expect(text).toContain(expected);
    expect(inexact).toEqual([]);
  });

  it("that take Groovy fail the job rather than let it run, or leave it out", () => {
    const { jobs, inexact } = imported(pipeline(stage("x", "when { expression { foo() } }\nsteps { sh 'x' }")));
    expect(jobs.get("x")?.when).toBeUndefined();
    expect(scripts(jobs.get("x"))[0]).toContain("TODO: port the condition of line 5");
    expect(inexact).toEqual(["5 unsupported when"]);
  });
});

describe("steps", () => {
  it.each([
    [`sh "deploy \${env.BUILD_NUMBER} '\${params.X}' $FOO"`, `set +u\ndeploy \${BUILD_NUMBER} ''"\${X}"'' \${FOO}`],
    [`sh "tag \${sh(script: 'git describe', returnStdout: true).trim()}"`, "tag $(git describe)"],
    ["sh '#!/bin/bash\\nset -o pipefail\\na | b'", "/bin/bash -c #!/bin/bash\nset -o pipefail\na | b"],
    ["sh '#!/usr/bin/env python3\\nprint(1)'", "/usr/bin/env python3 -c '#!/usr/bin/env python3\nprint(1)'"],
    ["sh 'cd $WORKSPACE'", 'export WORKSPACE="$KEDGE_WORKSPACE"\ncd $WORKSPACE'],
    ['echo "it\'s $BUILD_ID"', 'echo "it\'s ${BUILD_ID}"'],
    ["echo 'a\\\\b'", "printf '%s\\n' 'a\\b'"],
    ["error 'no'", "echo no >&2\nexit 1"],
    ["sleep time: 2, unit: 'MINUTES'", "sleep 120"],
    ["dir('a b') { sh 'x' }", "mkdir -p 'a b' && cd 'a b'\nx"],
    ["withEnv(['PATH+X=/opt/x', 'A=1']) { sh 'x' }", 'export PATH=/opt/x":${PATH:-}"\nx'],
    ["writeFile file: 'a/b', text: 'hi'", "mkdir -p \"$(dirname a/b)\"\nprintf '%s' hi > a/b"],
    [
      "retry(2) { sh 'flaky' }",
      "script='( flaky\n)'\nfor attempt in 1 2; do\n  if sh -euc \"$script\"; then exit 0; fi\ndone\nexit 1",
    ],
    ["timestamps { ansiColor('xterm') { sh 'x' } }", "x"],
    ["sh '''echo ${{ x }}'''", "echo $${{ x }}"],
    ["script { sh 'x' }", "x"],
  ])("%s", (step, script) => {
    const { jobs, inexact } = imported(one(step, "agent any\nparameters { string(name: 'X') }"));
    expect(scripts(jobs.get("one")).slice(1)).toEqual([script]);
    expect(inexact).toEqual([]);
  });

  it("keep their timeouts, tolerance and variables", () => {
    const { jobs } = imported(one("timeout(5) { sh 'a' }\ncatchError { sh 'b' }\nwithEnv(['A=b']) { sh 'c' }"));
    const work = jobs.get("one")?.work;
    expect(work?.case === "steps" ? work.value.steps.slice(1) : []).toMatchObject([
      { timeoutSeconds: 300 },
      { allowFailure: true },
      { env: { A: "b" } },
    ]);
  });

  it("check out, and leave and take files", () => {
    const source = pipeline(
      [
        stage(
          "a",
          "agent any\nsteps { checkout scm\ngit url: 'https://x/y.git', branch: 'b', credentialsId: 'c'\nstash name: 's', includes: 'out/**'\narchiveArtifacts artifacts: 'a.jar, b/', fingerprint: true }",
        ),
        stage("b", "agent any\noptions { skipDefaultCheckout() }\nsteps { unstash 's'\nsh 'x' }"),
      ].join("\n"),
      "agent none",
    );
    const { jobs } = imported(source);
    expect(jobs.get("a")).toMatchObject({
      artifacts: [{ name: "stash-s", paths: ["out/**"] }, { paths: ["a.jar", "b/**"] }],
    });
    expect(scripts(jobs.get("a"))).toEqual(["checkout", "checkout"]);
    expect(jobs.get("b")).toMatchObject({ inputs: [{ job: "a", name: "stash-s" }] });
    expect(scripts(jobs.get("b"))).toEqual(["x"]);
  });

  it("use secrets for credentials", () => {
    const bindings =
      "[string(credentialsId: 'tok', variable: 'T'), usernamePassword(credentialsId: 'up', usernameVariable: 'U', passwordVariable: 'P'), file(credentialsId: 'f', variable: 'F')]";
    const { jobs } = imported(
      one(
        `withCredentials(${bindings}) { sh 'x $F' }`,
        "agent any\nenvironment { R = credentials('reg') }\nparameters { password(name: 'PW') }",
      ),
      { PW: "x" },
    );
    expect(jobs.get("one")?.secrets.map(({ secret, env, file }) => `${secret}=${env}${file}`)).toEqual(
      [...["parameters.PW=PW", "tok=T", "up_USR=U", "up_PSW=P", "f=f", "reg=R"].sort()].sort(
        (a, b) => ORDER.indexOf(a) - ORDER.indexOf(b),
      ),
    );
    expect(scripts(jobs.get("one"))[1]).toBe('export F="$KEDGE_SECRETS/f"\nx $F');
  });

  it("build and push images where a script does only that", () => {
    const script = `script {
      def image = docker.build("team/app:\${env.BUILD_ID}", "-f docker/Dockerfile --build-arg V=1 .")
      docker.withRegistry('https://reg.example', 'cred') {
        image.push()
        image.push('latest')
      }
    }`;
    const { jobs } = imported(one(script));
    const work = jobs.get("one")?.work;
    expect(work?.case === "steps" ? work.value.steps[1]?.action : undefined).toMatchObject({
      case: "build",
      value: {
        context: ".",
        dockerfile: "docker/Dockerfile",
        args: { V: "1" },
        tags: ["reg.example/team/app:${{ run.id }}", "reg.example/team/app:latest"],
        push: true,
      },
    });
  });

  it.each(["bat 'x'", "foo 'x'", "script { def x = 1 }", 'sh "${foo()}"', "lock('x') { sh 'y' }", 'junit "${x}"'])(
    "that cannot be converted fail, and say so: %s",
    (step) => {
      const { jobs, notes } = imported(one(step));
      expect(scripts(jobs.get("one")).at(-1)).toMatch(
        /^echo 'TODO: port \w+ of line 6 of the Jenkinsfile' >&2\nexit 1/,
      );
      expect(notes.filter((it) => it.fidelity === "unsupported").map((it) => it.line)).toContain(6);
    },
  );
});

const ORDER = ["reg=R", "parameters.PW=PW", "tok=T", "up_USR=U", "up_PSW=P", "f=f"];

describe("what is around the stages", () => {
  it("is around the jobs", () => {
    const sections = `agent any
      environment { A = 'x'; B = "\${A}-\${env.BUILD_NUMBER}"; P = "/x:\${env.PATH}" }
      options { timeout(time: 2, unit: 'HOURS'); disableConcurrentBuilds(abortPrevious: true); retry(3); timestamps() }
      parameters { string(name: 'S', defaultValue: '3.10', description: 'd'); choice(name: 'C', choices: 'a\\nb') }
      triggers { cron('TZ=Europe/Berlin\\nH 2 * * 1-5'); pollSCM('H/5 * * * *') }
      post { failure { sh 'tell' }\n always { echo 'end' } }`;
    const { spec, text } = imported(one("sh 'x'", sections));
    expect(spec).toMatchObject({
      timeoutSeconds: 7200,
      parameters: [
        { name: "S", defaultValue: "3.10" },
        { name: "C", choices: ["a", "b"] },
      ],
    });
    expect(spec.triggers.map(({ kind }) => kind.value)).toMatchObject([
      { schedule: "H 2 * * 1-5", timeZone: "Europe/Berlin" },
      { everySeconds: 300 },
    ]);
    expect(spec.jobs[0]).toMatchObject({ env: { A: "x", B: "x-${{ run.id }}", S: "3.10" }, maxAttempts: 3 });
    expect(scripts(spec.jobs[0])).toEqual(["checkout", 'export P="/x:${PATH}"\nx']);
    expect(spec.jobs[0]?.post).toHaveLength(2);
    expect(text).toContain("on-new: cancel-running");
  });

  it("comes after all jobs where there are several", () => {
    const stages = [stage("a", "agent any\nsteps { sh 'a' }"), stage("b", "agent any\nsteps { sh 'b' }")].join("\n");
    const { jobs } = imported(
      pipeline(stages, "agent none\npost { always { junit 'r.xml' }\nfailure { sh 'tell' }\nchanged { sh 'x' } }"),
    );
    expect(jobs.get("post-failure")).toMatchObject({ needs: ["a", "b"], optionalNeeds: ["a", "b"] });
    expect(jobs.get("a")?.artifacts).toMatchObject([{ paths: ["r.xml"] }]);
  });
});

describe("hostile pipelines", () => {
  it.each([
    ["scripts", one(`script { ${"sh 'x'; ".repeat(20_000)} }`)],
    [
      "values of each other",
      one(
        "sh 'x'",
        `agent any\nenvironment { A0 = 'x'\n${Array.from({ length: 2000 }, (_, i) => `A${i + 1} = "\${A${i}}\${A${i}}"`).join("\n")} }`,
      ),
    ],
  ])("of many %s take time in proportion", (_, source) => {
    const { errors, source: text } = importJenkinsfile(source);
    expect(errors.length > 0 || text !== undefined).toBe(true);
  });
});

describe("any pipeline", () => {
  const text = fc.constantFrom(
    "x",
    "a b",
    "it's",
    "${{ x }}",
    "$${{",
    "3.10",
    "true",
    "- a",
    "a: b",
    "#c",
    "\\u0007",
    "ü",
    "${X}",
    "*",
    "!x",
    "",
  );
  const quoted = text.map((it) => `'${it.replaceAll("'", "\\'")}'`);
  const gstring = text.map((it) => `"${it.replaceAll(/["$]/g, "\\$&")}\${env.BUILD_ID}\${params.P}\${X}"`);
  const value = fc.oneof(quoted, gstring);
  const { step } = fc.letrec<{ step: string; steps: string }>((tie) => ({
    step: fc.oneof(
      { maxDepth: 3 },
      value.map((it) => `sh ${it}`),
      value.map((it) => `echo ${it}`),
      value.map((it) => `archiveArtifacts ${it}`),
      value.map((it) => `stash name: ${it}, includes: ${it}`),
      value.map((it) => `foo ${it}`),
      value.map((it) => `unstash ${it}`),
      value.map((it) => `git url: ${it}`),
      value.map((it) => `script { docker.build(${it}).push(${it}) }`),
      fc.tuple(value, tie("steps")).map(([it, inner]) => `dir(${it}) { ${inner} }`),
      fc.tuple(value, tie("steps")).map(([it, inner]) => `withEnv([${it}, "A=" + ${it}]) { ${inner} }`),
      fc.tuple(fc.nat(5), tie("steps")).map(([it, inner]) => `retry(${it}) { ${inner} }`),
      fc.tuple(fc.nat(90), tie("steps")).map(([it, inner]) => `timeout(${it}) { ${inner} }`),
    ),
    steps: fc.array(tie("step"), { minLength: 1, maxLength: 3 }).map((all) => all.join("\n")),
  }));
  const steps = fc.array(step, { minLength: 1, maxLength: 4 }).map((all) => `steps {\n${all.join("\n")}\n}`);
  const agent = fc.oneof(
    fc.constantFrom("agent any", "agent none", "", "agent { dockerfile true }"),
    value.map((it) => `agent { label ${it} }`),
    fc.tuple(value, value).map(([a, b]) => `agent { docker { image ${a}\nargs ${b} } }`),
  );
  const condition = fc.oneof(
    value.map((it) => `branch ${it}`),
    value.map((it) => `tag pattern: ${it}, comparator: 'REGEXP'`),
    value.map((it) => `not { anyOf { changeset ${it}\nenvironment name: 'P', value: ${it} } }`),
    value.map((it) => `expression { params.P == ${it} || !params.P }`),
  );
  const sections = fc.tuple(
    agent.map((it) => (it.includes("none") ? "" : it)),
    fc.option(
      condition.map((it) => `when { ${it} }`),
      { nil: "" },
    ),
    fc.option(
      value.map((it) => `environment { X = ${it} }`),
      { nil: "" },
    ),
    fc.option(
      step.map((it) => `post { always { ${it} }\nfailure { ${it} }\nfixed { ${it} } }`),
      { nil: "" },
    ),
    fc.option(
      value.map((it) => `input { message ${it}\nsubmitter ${it} }`),
      { nil: "" },
    ),
  );
  const leaf = fc.tuple(sections, steps).map(([all, own]) => [...all, own].join("\n"));
  const nested = fc.tuple(
    sections,
    fc.array(leaf, { minLength: 1, maxLength: 3 }),
    fc.constantFrom("stages", "parallel"),
  );
  const body = fc.oneof(
    leaf,
    nested.map(
      ([all, inner, kind]) =>
        `${all.slice(kind === "stages" ? 0 : 1).join("\n")}\n${kind} {\n${inner.map((it, i) => stage(`in${i}`, it)).join("\n")}\n}`,
    ),
    fc
      .tuple(leaf, quoted)
      .map(([inner, it]) => `matrix {\naxes { axis { name 'X'; values ${it}, 'b', 'c' } }\n${stagesOf([inner])}\n}`),
  );
  const stagesOf = (all: readonly string[]): string =>
    `stages {\n${all.map((it, i) => stage(`s ${i}`, it)).join("\n")}\n}`;
  const whole = fc
    .tuple(agent, fc.array(body, { minLength: 1, maxLength: 4 }), fc.option(step, { nil: "" }))
    .map(
      ([own, all, last]) =>
        `pipeline {\n${own === "" ? "agent any" : own}\nparameters { string(name: 'P', defaultValue: 'p') }\n${stagesOf(all)}\n${last === "" ? "" : `post { always { ${last} } }`}\n}`,
    );

  it("that Jenkins takes becomes one that compiles", () => {
    let read = 0;
    fc.assert(
      fc.property(whole, (source) => {
        const { source: out, errors } = importJenkinsfile(source);
        expect(errors.filter((it) => it.message.includes("does not fit"))).toEqual([]);
        if (out === undefined) return;
        read++;
        expect(show(compilePipeline(out).diagnostics).filter((it) => !it.includes("warning"))).toEqual([]);
        expect(importJenkinsfile(source).source).toBe(out);
      }),
      { numRuns: 200 },
    );
    expect(read).toBeGreaterThan(60);
  });
});

it("says what of the file is beside the pipeline", () => {
  const { notes } = importJenkinsfile(
    "@Library('x') _\nimport a.B\ndef helper() { 1 }\npipeline { agent any\nstages { stage('A') { steps { sh 'x' } } } }\nprintln 'end'\n",
  );
  const lines = notes.filter((note) => note.construct === "Groovy outside of pipeline").map((note) => note.line);
  expect(lines).toEqual(expect.arrayContaining([3, 6]));
  expect(lines).not.toContain(4);
});
