// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the subject of these files
import { describe, expect, it } from "vitest";
import { imported, one, pipeline, scripts, stage } from "../../testing/jenkinsfiles.ts";

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
    expect(jobs.get("one")?.registries).toMatchObject([
      { registry: "reg.example", usernameSecret: "cred_USR", passwordSecret: "cred_PSW" },
    ]);
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
