import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A declarative Jenkinsfile with something of everything. */
export const JENKINSFILE = `pipeline {
  agent { docker { image 'maven:3' } }
  options { timeout(time: 1, unit: 'HOURS'); retry(2) }
  parameters { string(name: 'WHO', defaultValue: "you", description: '') ; booleanParam(name: 'DRY', defaultValue: false) }
  environment { TOKEN = credentials('deploy'); NAME = "app-\${env.BUILD_NUMBER}" }
  triggers { cron('H 4 * * 1-5') }
  stages {
    stage('Build') { when { allOf { branch 'main'; not { changeRequest() } } } steps { sh """mvn -B package
      echo \${WHO}""" ; archiveArtifacts artifacts: 'target/*.jar', fingerprint: true } }
    stage('Test') { parallel { stage('a') { steps { sh 'a' } } stage('b') { agent any; steps { script { if (x == 1) { sh 'b' } } } } } }
    stage('M') { matrix { axes { axis { name 'OS'; values 'linux', 'mac' } } stages { stage('go') { steps { sh "go $OS" } } } } }
    stage('Ship') { input { message 'Go?' ; ok 'Yes' } steps { withCredentials([string(credentialsId: 'a', variable: 'A')]) { sh 'ship' } } }
  }
  post { always { junit '**/*.xml' } failure { mail to: 'a@b.example', subject: "no" } }
}
`;

/** A workflow of GitHub Actions. */
export const GITHUB = `on: { push: { branches: [main, "rel/**"] }, pull_request: {}, schedule: [{ cron: "0 4 * * *" }] }
env: { A: "\${{ github.ref }}" }
jobs:
  build:
    runs-on: \${{ matrix.os }}
    strategy: { fail-fast: false, matrix: { os: [ubuntu-latest, macos-latest], node: [20, 22], exclude: [{ os: macos-latest, node: 20 }] } }
    steps: [{ uses: actions/checkout@v4 }, { uses: actions/setup-node@v4, with: { node-version: "\${{ matrix.node }}" } }, { run: npm test, if: "success() && github.event_name == 'push'" }]
  ship: { needs: build, if: "startsWith(github.ref, 'refs/tags/')", runs-on: ubuntu-latest, environment: production, steps: [{ run: "./ship \${{ secrets.TOKEN }}" }] }
`;

/** A `.gitlab-ci.yml`. */
export const GITLAB = `stages: [build, test]
variables: { A: "1" }
.base: &base { before_script: [npm ci], tags: [docker] }
build: { extends: .base, stage: build, script: [make], artifacts: { paths: [dist/] }, rules: [{ if: '$CI_COMMIT_BRANCH == "main" && $A =~ /x+/', changes: ["src/**"] }] }
test: { <<: *base, stage: test, needs: [build], parallel: { matrix: [{ DB: [pg, my] }] }, script: [!reference [.base, before_script], npm test], retry: 2 }
`;

/** A `.travis.yml`. */
export const TRAVIS = `language: node_js
node_js: [20, 22]
env: { jobs: [A=1, A=2] }
cache: npm
script: [npm test]
jobs: { include: [{ stage: deploy, script: ./ship, if: branch = main }] }
`;

const scenarios = join(import.meta.dirname, "../scenarios");
const read = (file: string): string => readFileSync(join(scenarios, file), "utf8");
const graphs = readdirSync(join(scenarios, "dag"), { withFileTypes: true }).filter((entry) => entry.isDirectory());

/** Pipelines of the scenarios. */
export const PIPELINES = [
  read("artifacts/kedge.yaml"),
  ...graphs.map(({ name }) => read(`dag/${name}/kedge.yaml`)),
] as const;

/** Files of other kinds. */
export const OTHER_FILES = [
  read("feature-flags/flag.yaml"),
  read("feature-flags/deployment.yaml"),
  "repository: shop\nurl: https://forge.example/team/shop.git\nforge: github\nwebhook-secrets: [HOOK]\n",
] as const;
