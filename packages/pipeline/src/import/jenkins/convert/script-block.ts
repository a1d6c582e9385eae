import { DOCKER_HUB } from "@kedge/domain";
import type { Call, Expression, Statement } from "../groovy/nodes.ts";
import { callOf, matchName } from "../model/match.ts";
import type { Step } from "../model/model.ts";
import { Problems } from "../model/problems.ts";
import { readBranch } from "../model/steps.ts";
import { isHost, noteLogin, registryHost } from "./agents.ts";
import type { StepDraft } from "./draft.ts";
import { decorated, type StepContext, todoStep } from "./step-context.ts";
import { isReference, partsOf } from "./text.ts";

type ConvertOne = (step: Step, context: StepContext) => readonly StepDraft[];

/** An image that a script builds: the name it is kept under, and where its build step stands. */
interface Image {
  readonly step: StepDraft & { build: NonNullable<StepDraft["build"]> };
  readonly name: string;
  readonly tag: string;
}

/** Steps that a script may hold without any Groovy around them. */
const PLAIN: ReadonlySet<string> = new Set(
  "sh echo error sleep writeFile archiveArtifacts junit stash unstash checkout git dir withEnv withCredentials timeout retry deleteDir cleanWs unstable catchError".split(
    " ",
  ),
);

/**
 * `script { }`: plain steps, and images that are built and pushed. All else is a program: it becomes a step that fails
 * and shows it.
 */
export function convertScript(step: Step, context: StepContext, convert: ConvertOne): readonly StepDraft[] {
  const statements = step.code?.body.statements ?? [];
  const steps: StepDraft[] = [];
  const images = new Map<string, Image>();
  for (const statement of statements) {
    const own = convertDocker(statement, { images, context }) ?? convertPlain(statement, context, convert);
    if (own === undefined) {
      const message =
        "Groovy is not run: a step that fails shows what to port; images built by docker.build and plain steps are converted";
      context.report.unsupported(step.at, "script", message);
      return [todoStep("script", { at: step.at, end: (step.code?.body.end ?? step.at) + 1 }, context)];
    }
    steps.push(...own);
  }
  context.report.exact(step.at, "script", "the steps within");
  return steps;
}

function convertPlain(
  statement: Statement,
  context: StepContext,
  convert: ConvertOne,
): readonly StepDraft[] | undefined {
  const call = callOf(statement);
  const name = call === undefined ? undefined : matchName(call);
  if (name === undefined || !PLAIN.has(name)) return undefined;
  const problems = new Problems(context.report.places);
  const block = { statements: [statement], start: statement.start, end: statement.end };
  const { steps } = readBranch("script", block, { source: context.source, problems });
  return problems.any ? undefined : steps.flatMap((step) => [...convert(step, context)]);
}

interface Docker {
  readonly images: Map<string, Image>;
  readonly context: StepContext;
  readonly registry?: string;
}

/** `docker.build`, `image.push`, and `docker.withRegistry` around them; undefined when it is none of these. */
function convertDocker(statement: Statement, docker: Docker): readonly StepDraft[] | undefined {
  const assigned = assignment(statement, docker.context.source);
  if (assigned !== undefined) return build(assigned.call, docker, assigned.name);
  const call = callOf(statement);
  if (call === undefined) return undefined;
  if (isOn(call, "docker", "withRegistry")) return withRegistry(call, docker);
  if (isOn(call, "docker", "build")) return build(call, docker, "");
  if (call.method.kind !== "constant" || call.method.value !== "push") return undefined;
  const { target } = call;
  if (target?.kind === "call" && isOn(target, "docker", "build")) {
    const built = build(target, docker, " ");
    return built === undefined || push(" ", call, docker) === undefined ? undefined : built;
  }
  return target?.kind === "variable" ? push(target.name, call, docker) : undefined;
}

/** `x = docker.build(...)`, with `def` or without. */
function assignment(statement: Statement, source: string): { readonly name: string; readonly call: Call } | undefined {
  if (statement.kind === "expression") {
    const { expression } = statement;
    const isAssignment =
      expression.kind === "binary" && expression.operator === "=" && expression.left.kind === "variable";
    if (!isAssignment || expression.left.kind !== "variable") return undefined;
    return expression.right.kind === "call" && isOn(expression.right, "docker", "build")
      ? { name: expression.left.name, call: expression.right }
      : undefined;
  }
  if (statement.kind !== "other" || statement.expression?.kind !== "call") return undefined;
  const name = /^(?:def|final|\w+)\s+([A-Za-z_]\w*)\s*=/.exec(source.slice(statement.start, statement.end))?.[1];
  return name !== undefined && isOn(statement.expression, "docker", "build")
    ? { name, call: statement.expression }
    : undefined;
}

function isOn({ target, method }: Call, object: string, name: string): boolean {
  return target?.kind === "variable" && target.name === object && method.kind === "constant" && method.value === name;
}

function build(
  { args }: Call,
  { images, context, registry }: Docker,
  variable: string,
): readonly StepDraft[] | undefined {
  const [image, options] = args;
  const full = knownText(image, context);
  const flags = options === undefined ? "" : knownText(options, context);
  if (full === undefined || flags === undefined || args.length > 2) return undefined;
  const parsed = buildOptions(flags);
  if (parsed === undefined) return undefined;
  if (!isReference(full)) return undefined;
  const colon = full.lastIndexOf(":");
  const isTagged = colon > full.lastIndexOf("/");
  const [name, tag] = isTagged ? [full.slice(0, colon), full.slice(colon + 1)] : [full, "latest"];
  const prefix = registry === undefined ? "" : `${registry}/`;
  const step = { ...decorated({}, context), build: { ...parsed, tags: [`${prefix}${name}:${tag}`] } };
  images.set(variable, { step, name: `${prefix}${name}`, tag });
  return [step];
}

function knownText(expression: Expression | undefined, { scope }: StepContext): string | undefined {
  return expression === undefined ? undefined : scope.textOf(partsOf(expression));
}

/** `-f FILE`, `--build-arg K=V` and the folder at the end. */
function buildOptions(flags: string): StepDraft["build"] | undefined {
  const words = flags.split(/\s+/).filter((word) => word !== "");
  const found: NonNullable<StepDraft["build"]> = {};
  const args: Record<string, string> = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "-f" || word === "--file") found.dockerfile = (words[++i] ?? "").replace(/^\.\//, "");
    else if (word === "--build-arg" || word.startsWith("--build-arg=")) {
      const pair = word === "--build-arg" ? (words[++i] ?? "") : word.slice("--build-arg=".length);
      const match = /^([A-Za-z_]\w*)=(.*)$/.exec(pair);
      if (match === null) return undefined;
      args[match[1] ?? ""] = match[2] ?? "";
    } else if (i === words.length - 1 && isFolder(word))
      found.context = word.replace(/^\.\/(?=.)/, "").replace(/\/$/, "") || ".";
    else return undefined;
  }
  if (found.dockerfile !== undefined && !isFolder(found.dockerfile)) return undefined;
  return { ...found, ...(Object.keys(args).length > 0 ? { args } : {}) };
}

const isFolder = (path: string): boolean =>
  /^[A-Za-z0-9_.][A-Za-z0-9_./-]*$/.test(path) && !path.split("/").includes("..");

/** Steps that push become part of the step that builds: under the image's own tag, and under those that are given. */
function push(variable: string, { args }: Call, { images, context }: Docker): readonly StepDraft[] | undefined {
  const image = images.get(variable);
  const [given] = args;
  const tag = given === undefined ? image?.tag : knownText(given, context);
  if (image === undefined || tag === undefined || !isReference(tag)) return undefined;
  const { build: own } = image.step;
  const full = `${image.name}:${tag}`;
  image.step.build = { ...own, tags: [...new Set([...(own.tags ?? []), full])], push: true };
  return [];
}

function withRegistry({ args }: Call, docker: Docker): readonly StepDraft[] | undefined {
  const [url, ...others] = args;
  const body = others.at(-1);
  const known = knownText(url, docker.context);
  if (body?.kind !== "closure" || known === undefined) return undefined;
  const { context } = docker;
  const host = registryHost(known);
  const inner = host === undefined ? docker : { ...docker, registry: host };
  if (host !== undefined) retag(docker.images, host);
  if (others.length > 1) {
    const credentials = knownText(others[0], context);
    if (credentials === undefined || (host !== undefined && !isHost(host))) return undefined;
    context.job.addLogin(host ?? DOCKER_HUB, credentials);
    const at = args[0]?.start ?? 0;
    noteLogin(credentials, { at, construct: "docker.withRegistry", report: context.report });
  }
  const steps: StepDraft[] = [];
  for (const statement of body.body.statements) {
    const own = convertDocker(statement, inner);
    if (own === undefined) return undefined;
    steps.push(...own);
  }
  return steps;
}

/** Images built before are pushed under the registry's name. */
function retag(images: Map<string, Image>, host: string): void {
  for (const [variable, image] of images) {
    if (image.name.startsWith(`${host}/`)) continue;
    const name = `${host}/${image.name}`;
    const tags = (image.step.build.tags ?? []).map((tag) => `${host}/${tag}`);
    image.step.build = { ...image.step.build, tags };
    images.set(variable, { ...image, name });
  }
}
