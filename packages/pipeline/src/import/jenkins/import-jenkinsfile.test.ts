// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the subject of these files
import { describe, expect, it } from "vitest";
import { imported, one, pipeline, scripts, stage } from "../../testing/jenkinsfiles.ts";
import { importJenkinsfile } from "./import-jenkinsfile.ts";

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

  it.each([
    ["image 'app:1'\nregistryUrl 'https://reg.example:5000/v2/'", "reg.example:5000/app:1", "reg.example:5000"],
    ["image 'ghcr.io/me/app'", "ghcr.io/me/app", "ghcr.io"],
    ["image 'me/app'\nregistryUrl 'https://index.docker.io/v1/'", "me/app", "docker.io"],
  ])("log in to the registry of their image: %s", (fields, image, registry) => {
    const agent = `agent { docker { ${fields}\nregistryCredentialsId 'my.cred'\nalwaysPull true } }`;
    const { jobs, inexact } = imported(pipeline(stage("a", `${agent}\nsteps { sh 'a' }`), "agent none"));
    expect(inexact).toEqual([]);
    const login = { registry, usernameSecret: "my_cred_USR", passwordSecret: "my_cred_PSW" };
    expect(jobs.get("a")).toMatchObject({ image, registries: [login], alwaysPull: true });
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

it("says what of the file is beside the pipeline", () => {
  const { notes } = importJenkinsfile(
    "@Library('x') _\nimport a.B\ndef helper() { 1 }\npipeline { agent any\nstages { stage('A') { steps { sh 'x' } } } }\nprintln 'end'\n",
  );
  const lines = notes.filter((note) => note.construct === "Groovy outside of pipeline").map((note) => note.line);
  expect(lines).toEqual(expect.arrayContaining([3, 6]));
  expect(lines).not.toContain(4);
});
