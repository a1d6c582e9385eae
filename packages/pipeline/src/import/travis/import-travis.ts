import { readYaml } from "../../yaml-text.ts";
import {
  asList,
  asPlain,
  asTexts,
  ImportDraft,
  isPlain,
  literal,
  nameOf,
  namesOf,
  type Plain,
  portStep,
  textOf,
} from "../draft.ts";
import type { ImportResult } from "../import-report.ts";
import { shellGuard } from "../shell-guard.ts";
import { imageOf, type Language, languageOf, NO_LANGUAGE } from "./languages.ts";

const PHASES = ["before_install", "install", "before_script", "script"] as const;
const KEYS_OF_JOBS: ReadonlySet<string> = new Set([
  ...[
    ...PHASES,
    "before_cache",
    "after_success",
    "after_failure",
    "after_script",
    "language",
    "env",
    "services",
    "cache",
  ],
  ...["addons", "os", "dist", "arch", "stage", "name", "if", "branches", "deploy", "git"],
]);
/** Of services that Travis starts on the machine: images that listen as they do. */
const SERVICES: Readonly<Record<string, { readonly image: string; readonly port: number; readonly env?: Plain }>> = {
  postgresql: { image: "postgres:16", port: 5432, env: { POSTGRES_HOST_AUTH_METHOD: "trust" } },
  mysql: { image: "mysql:8", port: 3306, env: { MYSQL_ALLOW_EMPTY_PASSWORD: "yes" } },
  redis: { image: "redis:7", port: 6379 },
  "redis-server": { image: "redis:7", port: 6379 },
  mongodb: { image: "mongo:7", port: 27_017 },
  rabbitmq: { image: "rabbitmq:3", port: 5672 },
  memcached: { image: "memcached:1", port: 11_211 },
  elasticsearch: { image: "elasticsearch:8.15.0", port: 9200 },
};

/** A `.travis.yml` as a pipeline. Never throws. */
export function importTravisFile(source: string): ImportResult {
  const yaml = readYaml(source, () => true);
  if (!isPlain(yaml.value)) {
    const found = yaml.findings[0];
    const place = yaml.positions.lineAndColumn(found?.offset ?? 0);
    return { notes: [], errors: [{ ...place, message: found?.message ?? "the file must be a mapping" }] };
  }
  const root = yaml.value;
  const draft = new ImportDraft(yaml.positions);
  noteRest(root, draft);
  const section = asPlain(root["jobs"] ?? root["matrix"]);
  const included = asList(section["include"]).map(asPlain);
  const expanded = hasOwnScript(root, included) ? [{ ...root, isMain: true }] : [];
  const stages = stagesOf(root, included);
  const bodies = [...expanded.map((body) => body as Plain), ...withStages(included)].map(
    (body): Plain => ({ ...inherited(root), ...body }),
  );
  const names = [...namesOf(bodies.map((body, i) => `${jobTitle(body, i)}\n${i}`)).values()].map((name) =>
    name.replace(/-\d+$/, ""),
  );
  const unique = [...namesOf(names.map((name, i) => `${name}${names.indexOf(name) === i ? "" : `-${i}`}`)).values()];
  const context = {
    draft,
    allowed: asList(section["allow_failures"]).map(asPlain),
    excluded: asList(section["exclude"]).map(asPlain),
    stages,
  };
  const jobs = Object.fromEntries(bodies.map((body, i) => [unique[i] ?? `job-${i}`, translateJob(body, context)]));
  return draft.finish(
    {
      name: "travis-pipeline",
      on: triggersOf(asPlain(root["branches"])),
      env: { CI: "true", TRAVIS: "true", ...travisVariables(source), ...globalEnv(root["env"], draft) },
      stages: stages.length > 0 ? stages.map((stage) => nameOf(stage, "stage")) : undefined,
      jobs,
    },
    "Made from a .travis.yml by kedge import; see its report.",
  );
}

interface Context {
  readonly draft: ImportDraft;
  readonly allowed: readonly Plain[];
  readonly excluded: readonly Plain[];
  readonly stages: readonly string[];
}

function inherited(root: Plain): Plain {
  return Object.fromEntries(
    Object.entries(root).filter(([key]) => KEYS_OF_JOBS.has(key) && key !== "env" && key !== "stage"),
  );
}

/** Axes of the file itself make jobs of their own, unless everything is under jobs.include. */
function hasOwnScript(root: Plain, included: readonly Plain[]): boolean {
  if (included.length === 0) return true;
  const language = languageOf(textOf(root["language"] ?? "ruby"));
  const axes = [language?.versions ?? "", "env", "os"].filter((key) => key !== "" && Array.isArray(root[key]));
  return axes.length > 0;
}

function stagesOf(root: Plain, included: readonly Plain[]): string[] {
  const listed = asList(root["stages"]).map((stage) => textOf(isPlain(stage) ? stage["name"] : stage));
  const used = included.map((job) => textOf(job["stage"] ?? "")).filter((stage) => stage !== "");
  if (listed.length === 0 && used.length === 0) return [];
  return [...new Set([...listed, ...(listed.includes("test") ? [] : ["test"]), ...used])];
}

/** A job without a stage is of the stage of the job before it. */
function withStages(included: readonly Plain[]): Plain[] {
  let stage: unknown;
  return included.map((job) => {
    stage = job["stage"] ?? stage;
    return stage === undefined ? job : { ...job, stage };
  });
}

function jobTitle(body: Plain, index: number): string {
  return textOf(body["name"] ?? (body["isMain"] === true ? "test" : (body["stage"] ?? `job ${index + 1}`)));
}

function translateJob(body: Plain, { draft, allowed, excluded, stages }: Context): Plain {
  const name = textOf(body["language"] ?? "ruby");
  const language = languageOf(name) ?? NO_LANGUAGE;
  if (languageOf(name) === undefined)
    draft.unsupported(["language"], `${name} is not known here: give the job an image with what it needs`);
  else draft.approximate(["language"], `jobs run in the image ${language.image}`);
  const matrix = matrixOf(body, language, excluded);
  const version = !hasVersions(matrix) ? singleVersion(body, language) : `\${{ matrix.version }}`;
  const image = version?.startsWith("${{") ? `${language.image}:${version}` : imageOf(language, version);
  const post = postOf(body, draft);
  const condition = body["if"] === undefined ? undefined : textOf(body["if"]);
  const ported = condition === undefined ? [] : [portStep(`if: ${condition}`, "if")];
  if (condition !== undefined)
    draft.unsupported(["jobs"], `the job fails until this is ported: ${condition.slice(0, 80)}`);
  const deploys = asList(body["deploy"]).map((deploy) => deployStep(asPlain(deploy), draft));
  return {
    title: body["name"] === undefined ? undefined : literal(textOf(body["name"])),
    stage: stages.length > 0 ? nameOf(textOf(body["stage"] ?? "test"), "stage") : undefined,
    image,
    ...(matrix === undefined ? {} : { matrix, "fail-fast": false }),
    env: jobEnv(body, matrix),
    services: servicesOf(body, draft),
    cache: cacheOf(body["cache"], language, draft),
    timeout: "50m",
    "allow-failure":
      allowed.some((it) => Object.entries(it).every(([key, value]) => textOf(body[key]) === textOf(value))) ||
      undefined,
    steps: [...ported, "checkout", ...phases(body, language, draft), ...deploys],
    post: Object.keys(post).length > 0 ? post : undefined,
  };
}

function phases(body: Plain, language: Language, draft: ImportDraft): Plain[] {
  const defaults: Readonly<Record<string, readonly string[]>> = { install: language.install, script: language.script };
  return PHASES.flatMap((phase): Plain[] => {
    const written = body[phase];
    const isSkipped = ["true", "skip", "false"].includes(textOf(written));
    const lines = written === undefined ? (defaults[phase] ?? []) : isSkipped ? [] : asTexts(written);
    if (written !== undefined) draft.exact([phase], "a step");
    if (lines.length === 0) return phase === "script" ? [{ name: phase, run: "true" }] : [];
    return [{ name: phase, run: phase === "script" ? everyLine(lines) : ["set +u", ...lines].map(literal).join("\n") }];
  });
}

/** Travis runs every line of a script, and fails if one did. */
function everyLine(lines: readonly string[]): string {
  if (lines.length === 1) return ["set +u", ...lines].map(literal).join("\n");
  return ["set +eu", "failed=0", ...lines.map((line) => `${line}\n[ $? -eq 0 ] || failed=1`), "exit $failed"]
    .map(literal)
    .join("\n");
}

function postOf(body: Plain, draft: ImportDraft): Plain {
  const lists = { success: body["after_success"], failure: body["after_failure"], always: body["after_script"] };
  return Object.fromEntries(
    Object.entries(lists).flatMap(([on, value]): [string, unknown][] => {
      if (value === undefined) return [];
      draft.exact([on === "always" ? "after_script" : `after_${on}`], `post: ${on}`);
      return [[on, [{ run: ["set +u", ...asTexts(value)].map(literal).join("\n"), "allow-failure": true }]]];
    }),
  );
}

/** Travis deploys what was pushed to one branch, unless `on` says otherwise; never what a pull request brings. */
function deployStep(deploy: Plain, draft: ImportDraft): Plain {
  const on = asPlain(deploy["on"]);
  const { condition, repo } = on;
  if (deploy["provider"] !== "script" || condition !== undefined || repo !== undefined) {
    draft.unsupported(["deploy"], "the provider, or the condition, has to be ported");
    return portStep(`deploy with ${textOf(deploy["provider"] ?? "unknown")}`, "deploy");
  }
  draft.exact(["deploy"], "a step at the end, with a test of branch and event");
  const branches = asTexts(on["branch"]);
  const isEvery = textOf(on["all_branches"]) === "true";
  const wanted =
    textOf(on["tags"]) === "true"
      ? { tag: ["*"] }
      : isEvery
        ? {}
        : { branch: branches.length > 0 ? branches : ["master", "main"] };
  const { env, test } = shellGuard({ not: { event: ["pull-request"] }, ...wanted });
  const lines = [`${test} || exit 0`, ...asTexts(deploy["script"]).map(literal)];
  return { name: "deploy", env, run: ["set +u", ...lines].join("\n") };
}

/** A combination for each version and row of variables, as `include` lists them. */
function matrixOf(body: Plain, language: Language, excluded: readonly Plain[]): Plain | undefined {
  const written = language.versions === "" ? [] : asTexts(body[language.versions]);
  const rows = body["isMain"] === true ? envRows(matrixEnv(body["env"])) : [];
  if (written.length < 2 && rows.length < 2) return undefined;
  const cells = (written.length > 1 ? written : [undefined]).flatMap((version) => {
    const own = version === undefined ? {} : { version: imageOf(language, version).slice(language.image.length + 1) };
    const isOut = excluded.some((it) => version !== undefined && textOf(it[language.versions]) === version);
    return isOut ? [] : (rows.length > 1 ? rows : [{}]).map((row) => ({ ...own, ...texts(row) }));
  });
  return cells.length === 0 ? undefined : { include: cells };
}

function hasVersions(matrix: Plain | undefined): boolean {
  return "version" in asPlain(asList(matrix?.["include"])[0]);
}

function matrixEnv(env: unknown): unknown {
  return isPlain(env) ? (env["jobs"] ?? env["matrix"]) : env;
}

function singleVersion(body: Plain, language: Language): string | undefined {
  return language.versions === "" ? undefined : asTexts(body[language.versions])[0];
}

/** Rows of variables: each a line `A=1 B="2 3"`, or a mapping. */
function envRows(value: unknown): Plain[] {
  return asList(value).flatMap((row): Plain[] => {
    if (isPlain(row)) return "secure" in row ? [] : [row];
    return [assignments(textOf(row))];
  });
}

function assignments(line: string): Plain {
  const found: Plain = {};
  for (const [, name = "", double, single, plain] of line.matchAll(
    /([A-Za-z_]\w{0,127})=(?:"([^"]*)"|'([^']*)'|(\S*))/g,
  )) {
    if (!name.startsWith("KEDGE_")) found[name] = double ?? single ?? plain ?? "";
  }
  return found;
}

function globalEnv(env: unknown, draft: ImportDraft): Plain {
  if (!isPlain(env)) return {};
  if (asList(env["global"]).some((row) => isPlain(row) && "secure" in row)) {
    draft.unsupported(
      ["env", "global"],
      "encrypted variables cannot be read: kedge secret set, and list it under secrets",
    );
  }
  return texts(
    Object.assign(
      {},
      ...envRows(env["global"] ?? (env["jobs"] === undefined && env["matrix"] === undefined ? env : undefined)),
    ),
  );
}

function jobEnv(body: Plain, matrix: Plain | undefined): Plain {
  const rows = envRows(body["isMain"] === true ? matrixEnv(body["env"]) : body["env"]);
  if (rows.length < 2 || matrix === undefined) return texts(Object.assign({}, ...rows));
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return Object.fromEntries(names.map((name) => [name, `\${{ matrix.${name} }}`]));
}

function texts(env: Plain): Plain {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (typeof value === "object" ? [] : [[name, literal(textOf(value))]])),
  );
}

function servicesOf(body: Plain, draft: ImportDraft): Plain | undefined {
  const asked = asTexts(body["services"]).filter((name) => name !== "docker" && name !== "xvfb");
  const found = asked.flatMap((name): [string, Plain][] => {
    const known = Object.hasOwn(SERVICES, name) ? SERVICES[name] : undefined;
    if (known === undefined) draft.unsupported(["services"], `${name}: write its image under services`);
    else
      draft.approximate(["services"], `${name} is the container ${known.image}, reached as ${nameOf(name, "service")}`);
    return known === undefined
      ? []
      : [[nameOf(name, "service"), { image: known.image, env: known.env, ready: { tcp: known.port } }]];
  });
  return found.length > 0 ? Object.fromEntries(found) : undefined;
}

function cacheOf(cache: unknown, language: Language, draft: ImportDraft): Plain[] {
  const names = isPlain(cache) ? Object.keys(cache).filter((key) => textOf(cache[key]) === "true") : asTexts(cache);
  const folders = isPlain(cache) ? asTexts(cache["directories"]) : [];
  const known = names.flatMap((name) => (Object.hasOwn(language.caches, name) ? (language.caches[name] ?? []) : []));
  const paths = [
    ...known,
    ...folders.map((folder) =>
      folder
        .replace(/^\$HOME\//, "~/")
        .replace(/^\.\//, "")
        .replace(/\/$/, ""),
    ),
  ];
  const usable = paths.filter((path) => /^(?:~\/|[^/~$])/.test(path) && !path.includes("..") && !path.includes("*"));
  if (usable.length === 0) return [];
  draft.exact(["cache"], "cache");
  return [{ key: "travis", paths: usable }];
}

function triggersOf(branches: Plain): Plain {
  const only = asTexts(branches["only"]);
  const except = asTexts(branches["except"]).map((branch) => `!${branch}`);
  const globs = [...only, ...except].filter((branch) => !/^!?\//.test(branch));
  return { push: globs.length > 0 ? { branches: globs } : {}, "pull-request": {} };
}

function noteRest(root: Plain, draft: ImportDraft): void {
  for (const key of ["os", "dist", "arch", "sudo", "osx_image"]) {
    if (root[key] !== undefined) draft.approximate([key], "jobs run in images on Linux; choose nodes with runs-on");
  }
  for (const key of ["addons", "notifications", "before_cache", "import", "git"]) {
    if (root[key] !== undefined)
      draft.unsupported(
        [key],
        key === "addons" ? "install packages in a step, or use an image that has them" : "has no counterpart here",
      );
  }
}

function travisVariables(source: string): Plain {
  const known = {
    TRAVIS_COMMIT: "commit",
    TRAVIS_BRANCH: "branch",
    TRAVIS_TAG: "tag",
    TRAVIS_EVENT_TYPE: "event",
    TRAVIS_BUILD_ID: "id",
    TRAVIS_PULL_REQUEST: "pull_request",
  };
  return Object.fromEntries(
    Object.entries(known)
      .filter(([name]) => source.includes(name))
      .map(([name, field]) => [name, `\${{ run.${field} }}`]),
  );
}
