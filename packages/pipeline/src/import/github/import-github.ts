import { imagePlace } from "@kedge/domain";
import type { Path } from "../../finding.ts";
import { readYaml } from "../../yaml-text.ts";
import {
  asList,
  asPlain,
  asTexts,
  ImportDraft,
  isPlain,
  nameOf,
  namesOf,
  numberOf,
  type Plain,
  portStep,
  textOf,
} from "../draft.ts";
import type { ImportResult } from "../import-report.ts";
import { artifactName, fieldsOf } from "./actions.ts";
import { translateIf } from "./condition.ts";
import { lastLogins, translateLogin } from "./registries.ts";
import { type StepScope, translateEnv, translateSteps } from "./steps.ts";
import { translateText } from "./text.ts";
import { translateTriggers } from "./triggers.ts";

const KNOWN_LABELS = /^(?:ubuntu|windows|macos)-|^(?:self-hosted|linux|x64)$/i;
const DEFAULT_IMAGE = "ubuntu:24.04";

/** A workflow of GitHub Actions as a pipeline. Never throws. */
export function importGithubWorkflow(source: string): ImportResult {
  // Every scalar is kept as it is written, but those that decide something.
  const yaml = readYaml(source, (path) => path.includes("env") || path.includes("matrix") || path.at(-2) === "with");
  const positions = yaml.positions;
  if (!isPlain(yaml.value) || !isPlain(yaml.value["jobs"])) {
    const found = yaml.findings[0];
    const place = positions.lineAndColumn(found?.offset ?? 0);
    return { notes: [], errors: [{ ...place, message: found?.message ?? "a workflow has jobs" }] };
  }
  const draft = new ImportDraft(positions);
  const root = yaml.value;
  const jobs = asPlain(root["jobs"]);
  const names = namesOf(Object.keys(jobs));
  const { on, parameters } = translateTriggers(root["on"] ?? root["true"], draft);
  const shared: Shared = { draft, names, root, jobs, uploads: uploadsOf(jobs, names) };
  const translated = Object.entries(jobs).map(([key, body]): [string, Plain] => [
    names.get(key) ?? key,
    translateJob(key, asPlain(body), shared),
  ]);
  if (root["permissions"] !== undefined) draft.approximate(["permissions"], "jobs get no token of the forge at all");
  return draft.finish(
    {
      name: nameOf(textOf(root["name"] ?? "workflow"), "workflow")
        .slice(0, 40)
        .replace(/-+$/, ""),
      on,
      runs: runsOf(root["concurrency"], draft),
      parameters,
      env: { CI: "true", ...githubVariables(source) },
      jobs: Object.fromEntries(translated),
    },
    "Made from a workflow of GitHub Actions by kedge import; see its report.",
  );
}

interface Shared {
  readonly draft: ImportDraft;
  readonly names: ReadonlyMap<string, string>;
  readonly root: Plain;
  readonly jobs: Plain;
  readonly uploads: ReadonlyMap<string, readonly string[]>;
}

function translateJob(key: string, body: Plain, shared: Shared): Plain {
  const { draft, names } = shared;
  const path = ["jobs", key];
  const needs = asTexts(body["needs"]).flatMap((need) => names.get(need) ?? []);
  const { problem, ...when } = jobCondition(body, path, shared);
  const outline = { needs, ...when, title: titleOf(body) };
  const ported = problem === undefined ? [] : [portStep(`the condition of the job: ${problem}`, "condition")];
  if (typeof body["uses"] === "string") {
    const call = callOf(body, path, shared);
    return ported.length > 0 ? { ...outline, steps: ported } : { ...outline, ...call };
  }
  const secrets = { secrets: new Map<string, string>(), lost: 0 };
  const workflowEnv = asPlain(shared.root["env"]);
  const known = new Map(
    Object.entries({ ...workflowEnv, ...asPlain(body["env"]) }).map(([name, value]) => [name, textOf(value)]),
  );
  const source = { draft, jobs: names, env: new Map([...known].filter(([, value]) => !value.includes("${{"))) };
  const env = {
    ...translateEnv(workflowEnv, ["env"], source, secrets),
    ...translateEnv(body["env"], [...path, "env"], source, secrets),
  };
  const steps = translateSteps(body["steps"], [...path, "steps"], scopeOf(body, shared, source));
  const container = containerOf(body, path, draft);
  const { services, logins } = servicesOf(body["services"], path, draft);
  const image = container.image ?? steps.image ?? (services === undefined ? undefined : DEFAULT_IMAGE);
  const all = new Map([...secrets.secrets, ...steps.secrets]);
  return {
    ...outline,
    ...placeOf(body, path, image, draft),
    ...matrixOf(body, path, draft),
    ...{ image, services, environment: environmentOf(body["environment"]) },
    concurrency: body["concurrency"] === undefined ? undefined : groupOf(body["concurrency"], path, draft),
    timeout: numberOf(body["timeout-minutes"]) > 0 ? `${Math.ceil(numberOf(body["timeout-minutes"]))}m` : "6h",
    "allow-failure": body["continue-on-error"] === true ? true : undefined,
    env: { ...container.env, ...env },
    registries: lastLogins([...container.logins, ...logins, ...steps.logins]),
    secrets: [...all].map(([variable, secret]) => (variable === secret ? secret : { secret, env: variable })),
    inputs: steps.inputs.filter((input) => needs.includes(textOf(asPlain(input)["job"]))),
    cache: steps.caches.slice(0, 10),
    steps: [...ported, ...(steps.steps.length > 0 ? steps.steps : [{ run: "true" }])],
    artifacts: steps.artifacts,
  };
}

function scopeOf(body: Plain, { draft, names, root, uploads }: Shared, source: Pick<StepScope, "env">): StepScope {
  const defaults = { ...asPlain(asPlain(root["defaults"])["run"]), ...asPlain(asPlain(body["defaults"])["run"]) };
  const { shell, "working-directory": folder } = defaults;
  return {
    ...{ draft, jobs: names, uploads, env: source.env },
    shell: shell === undefined ? undefined : textOf(shell),
    folder: folder === undefined ? undefined : textOf(folder),
  };
}

function jobCondition(body: Plain, path: Path, { draft, names }: Shared): Plain & { readonly problem?: string } {
  if (body["if"] === undefined) return {};
  const { runIf, when, problem } = translateIf(textOf(body["if"]), names);
  if (problem !== undefined) {
    draft.unsupported([...path, "if"], `the job fails until this is ported: ${problem}`);
    return { problem };
  }
  draft.exact([...path, "if"], "when and run-if");
  return { ...(runIf === undefined ? {} : { "run-if": runIf }), ...(when === undefined ? {} : { when }) };
}

function titleOf({ name }: Plain): string | undefined {
  return name === undefined
    ? undefined
    : textOf(name)
        .replaceAll(/\$\{\{[^}]*\}\}/g, "")
        .trim() || undefined;
}

function callOf(body: Plain, path: Path, { draft }: Shared): Plain {
  const uses = textOf(body["uses"]);
  const file = /([^/@]+)\.ya?ml(?:@.*)?$/.exec(uses)?.[1] ?? uses;
  draft.approximate(
    [...path, "uses"],
    `calls the pipeline ${nameOf(file, "called")}: import and apply that workflow under this name`,
  );
  const parameters = Object.fromEntries(
    Object.entries(asPlain(body["with"])).map(([key, value]) => [
      key,
      translateText(textOf(value), { jobs: new Map(), env: new Map(), isScript: false }).text,
    ]),
  );
  return { call: { pipeline: nameOf(file, "called").slice(0, 40).replace(/-+$/, ""), parameters } };
}

interface Container {
  readonly image?: string;
  readonly env?: Plain;
  readonly logins: readonly Plain[];
}

function containerOf({ container }: Plain, path: Path, draft: ImportDraft): Container {
  if (container === undefined || container === null) return { logins: [] };
  const fields: Plain = isPlain(container) ? container : { image: container };
  for (const key of ["options", "volumes", "ports"]) {
    if (fields[key] !== undefined)
      draft.unsupported([...path, "container", key], "the container gets the job's resources and nothing else");
  }
  const { text } = translateText(textOf(fields["image"] ?? DEFAULT_IMAGE), {
    jobs: new Map(),
    env: new Map(),
    isScript: false,
  });
  draft.exact([...path, "container"], "image of the job");
  return { image: text, env: asPlain(fields["env"]), logins: loginOf(fields, [...path, "container"], draft) };
}

/** The login for the image of a container. */
function loginOf({ image, credentials }: Plain, path: Path, draft: ImportDraft): readonly Plain[] {
  if (credentials === undefined) return [];
  const { registry } = imagePlace(textOf(image ?? ""));
  const { fidelity, message, login } = translateLogin({ ...asPlain(credentials), registry });
  draft.note(fidelity, [...path, "credentials"], message);
  return login === undefined ? [] : [login];
}

function servicesOf(services: unknown, path: Path, draft: ImportDraft): { services?: Plain; logins: readonly Plain[] } {
  const entries = Object.entries(asPlain(services));
  if (entries.length === 0) return { logins: [] };
  const translated = entries.map(([name, body]): [string, Plain] => {
    const { image, env, options, ports } = asPlain(body);
    const health = /--health-cmd[= ]"?([^"]+?)"?(?:\s+--|\s*$)/.exec(textOf(options ?? ""))?.[1];
    const port = Number(/(\d+)$/.exec(textOf(asList(ports)[0] ?? ""))?.[1]);
    const ready = health !== undefined ? { command: health.trim() } : port > 0 ? { tcp: port } : undefined;
    draft.approximate([...path, "services", name], `is reached as ${nameOf(name, "service")}, not as localhost`);
    return [nameOf(name, "service").replace(/^[0-9]/, "s"), { image, env: asPlain(env), ready }];
  });
  const logins = entries.flatMap(([name, body]) => loginOf(asPlain(body), [...path, "services", name], draft));
  return { services: Object.fromEntries(translated), logins };
}

function placeOf(body: Plain, path: Path, image: string | undefined, draft: ImportDraft): Plain {
  const labels = asTexts(isPlain(body["runs-on"]) ? asPlain(body["runs-on"])["labels"] : body["runs-on"]);
  const own = labels.filter((label) => !KNOWN_LABELS.test(label) && /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(label));
  const foreign = labels.find((label) => /^(?:windows|macos)-/i.test(label));
  if (foreign !== undefined) draft.unsupported([...path, "runs-on"], `${foreign}: agents run on Linux`);
  else if (image === undefined && own.length === 0)
    draft.approximate(
      [...path, "runs-on"],
      "runs as processes on any node, with what is installed there: give it an image",
    );
  else draft.exact([...path, "runs-on"], own.length > 0 ? "labels that the node must carry" : "any node");
  return own.length > 0 ? { require: own } : {};
}

function matrixOf(body: Plain, path: Path, draft: ImportDraft): Plain {
  const strategy = asPlain(body["strategy"]);
  const matrix = strategy["matrix"];
  if (matrix === undefined) return {};
  const isFlat = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item !== "object");
  const axes = Object.entries(asPlain(matrix)).filter(([key]) => key !== "include" && key !== "exclude");
  const isKnown =
    isPlain(matrix) &&
    axes.every(([, value]) => isFlat(value)) &&
    [matrix["include"], matrix["exclude"]].every((it) => it === undefined || Array.isArray(it));
  if (!isKnown) {
    draft.unsupported(
      [...path, "strategy", "matrix"],
      "a matrix must be known before the run starts, and its values must be scalars",
    );
    return { matrix: { value: ["unknown"] } };
  }
  draft.exact([...path, "strategy", "matrix"], "matrix");
  const most = numberOf(strategy["max-parallel"]);
  return { matrix, "fail-fast": strategy["fail-fast"] !== false, "max-parallel": most > 0 ? most : undefined };
}

function environmentOf(environment: unknown): string | undefined {
  const name = isPlain(environment) ? environment["name"] : environment;
  return typeof name === "string" && !name.includes("${{") ? nameOf(name, "environment") : undefined;
}

function groupOf(concurrency: unknown, path: Path, draft: ImportDraft): string {
  const group = textOf(isPlain(concurrency) ? concurrency["group"] : concurrency);
  draft.approximate([...path, "concurrency"], "jobs of the group wait for each other, over all runs");
  return nameOf(group.replaceAll(/\$\{\{[^}]*\}\}/g, ""), "group")
    .slice(0, 40)
    .replace(/-+$/, "");
}

function runsOf(concurrency: unknown, draft: ImportDraft): Plain | undefined {
  if (concurrency === undefined) return undefined;
  const group = textOf(isPlain(concurrency) ? concurrency["group"] : concurrency);
  const { text } = translateText(group, { jobs: new Map(), env: new Map(), isScript: false });
  const cancels = isPlain(concurrency) && concurrency["cancel-in-progress"] === true;
  draft.exact(["concurrency"], "runs of the group");
  return {
    group: text.replaceAll(/[^\w./${} -]|\s+(?![^{}]*\}\})/g, "-"),
    "on-new": cancels ? "cancel-running" : "cancel-pending",
  };
}

/** Those of the variables that every step has there which this workflow asks for. */
function githubVariables(source: string): Plain {
  const known = {
    GITHUB_SHA: "commit",
    GITHUB_REF: "ref",
    GITHUB_REF_NAME: "branch",
    GITHUB_EVENT_NAME: "event",
    GITHUB_ACTOR: "sender",
    GITHUB_RUN_ID: "id",
  };
  const asked = Object.entries(known).filter(([name]) => new RegExp(`\\b${name}\\b`).test(source));
  return Object.fromEntries(asked.map(([name, field]) => [name, `\${{ run.${field} }}`]));
}

function uploadsOf(jobs: Plain, names: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const uploads = new Map<string, string[]>();
  for (const [key, body] of Object.entries(jobs)) {
    for (const step of asList(asPlain(body)["steps"])) {
      const fields = asPlain(step);
      if (!textOf(fields["uses"] ?? "").startsWith("actions/upload-artifact")) continue;
      for (const name of [artifactName(fieldsOf(fields)), ""]) {
        const own = names.get(key) ?? key;
        if (!(uploads.get(name) ?? []).includes(own)) uploads.set(name, [...(uploads.get(name) ?? []), own]);
      }
    }
  }
  return uploads;
}
