import { DOCKER_HUB, imagePlace } from "@kedge/domain";
import { parseCondition } from "../../../conditions.ts";
import type { Agent } from "../model/model.ts";
import { literalText } from "./arguments.ts";
import { type Report, secretName } from "./report.ts";
import type { Scope } from "./scope.ts";
import { isReference, partsOf } from "./text.ts";

/** Where steps run, in the words of kedge.yaml. */
export interface Place {
  /** Stages with the same key share a workspace. */
  readonly key: string;
  readonly require: readonly string[];
  readonly image?: string;
  /** The image is pulled even if the node has it. */
  readonly alwaysPull?: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly cache: readonly Readonly<Record<string, unknown>>[];
  /** Where the image is pulled from with a login. */
  readonly login?: RegistryLogin;
  /** An image to build first, and to run the steps in. */
  readonly build?: { readonly context?: string; readonly dockerfile?: string; readonly args?: Record<string, string> };
  /** `agent none`: nothing is checked out. */
  readonly isNone: boolean;
}

/** A registry, and the credentials for it. */
export interface RegistryLogin {
  readonly host: string;
  /** Of Jenkins: a name and a password. */
  readonly credentials: string;
}

/** Folders of package managers, and the files that say what they should hold. */
const CACHES: Readonly<Record<string, string>> = {
  ".m2": "**/pom.xml",
  ".gradle": "**/*.gradle*",
  ".npm": "**/package-lock.json",
  ".yarn": "**/yarn.lock",
  ".cache": "**/*lock*",
  ".ivy2": "**/build.sbt",
  ".sbt": "**/build.sbt",
  ".cargo": "**/Cargo.lock",
};

/** What an agent asks for; what it asks for that Kedge does not have is reported. */
export function convertAgent(
  agent: Agent,
  scope: Scope,
  { report, key }: { readonly report: Report; readonly key: string },
): Place {
  const { type, at } = agent;
  const base: Place = { key, require: [], env: {}, cache: [], isNone: type === "none" };
  const text = (name: string): string | undefined => {
    const field = agent.fields?.find((it) => it.key === name)?.value;
    const value =
      field !== undefined && "kind" in field
        ? field
        : name === type || (type === "docker" && name === "image")
          ? agent.argument
          : undefined;
    return value === undefined ? undefined : scope.textOf(partsOf(value.expression));
  };
  switch (type) {
    case "any":
    case "none":
      report.exact(at, `agent ${type}`, type === "any" ? "jobs run on any node" : "each stage has a job of its own");
      return base;
    case "label":
    case "node":
      return {
        ...base,
        require: labels(text("label") ?? text(type) ?? agentText(agent, scope), {
          report,
          at,
          construct: `agent { ${type} }`,
        }),
      };
    case "docker":
      return docker(base, { agent, text, report });
    case "dockerfile":
      return dockerfile(base, { agent, text, report });
    default:
      report.unsupported(
        at,
        `agent { ${type} }`,
        "there is nothing like it: the job runs on any node; give it an image and labels",
      );
      return base;
  }
}

function agentText({ argument }: Agent, scope: Scope): string | undefined {
  return argument === undefined ? undefined : scope.textOf(partsOf(argument.expression));
}

/** A label expression as conditions that must all hold. */
function labels(
  text: string | undefined,
  place: { readonly report: Report; readonly at: number; readonly construct: string },
): readonly string[] {
  const { report, at, construct } = place;
  if (text === undefined) {
    report.unsupported(at, construct, "the label is known only when the script runs: the job runs on any node");
    return [];
  }
  if (text.trim() === "") {
    report.exact(at, construct, "the job runs on any node");
    return [];
  }
  const words = text.split("&&").map((word) =>
    word
      .trim()
      .replace(/^\((.*)\)$/, "$1")
      .trim()
      .replaceAll(/^"|"$/g, ""),
  );
  const isSound = words.every((word) =>
    /^!?\$\{\{[^}]*\}\}$/.test(word) ? true : "constraint" in parseCondition(word) && !/\s/.test(word),
  );
  if (!isSound) {
    report.unsupported(
      at,
      construct,
      "require has no || and no parentheses: the job runs on any node; write require by hand",
    );
    return [];
  }
  report.exact(at, construct, "require: the node has that label, e.g. --label x=true where it joins");
  return [...new Set(words)];
}

interface DockerOptions {
  readonly agent: Agent;
  readonly text: (name: string) => string | undefined;
  readonly report: Report;
}

function docker(base: Place, { agent, text, report }: DockerOptions): Place {
  const { at } = agent;
  const registry = registryHost(text("registryUrl"));
  const image = text("image");
  if (image === undefined || !isReference(image)) {
    report.unsupported(at, "agent { docker }", "the image is known only when the script runs: write it by hand");
    return base;
  }
  report.exact(at, "agent { docker }", "the job's steps run in a container of the image");
  const full = registry === undefined || image.startsWith(registry) ? image : `${registry}/${image}`;
  const options = containerOptions({ agent, text, report });
  const login = loginOf(registry ?? imagePlace(image).registry, text("registryCredentialsId"));
  const alwaysPull = text("alwaysPull") === "true";
  return { ...base, ...login, image: full, alwaysPull, require: nodeLabel({ agent, text, report }), ...options };
}

function loginOf(host: string, credentials: string | undefined): Pick<Place, "login"> {
  return credentials === undefined || !isHost(host) ? {} : { login: { host, credentials } };
}

/** The host of a registry's URL; undefined for Docker Hub's, which is no part of an image's name. */
export function registryHost(url: string | undefined): string | undefined {
  const host = url?.replace(/^https?:\/\//, "").replace(/\/(?:v[12]\/?)?$/, "");
  return host === undefined || host === "" || /(?:^|\.)docker\.(?:io|com)(?:\/|$)/.test(host) ? undefined : host;
}

/** Tells whether a host is all of a registry's name: a login has no path. */
export function isHost(host: string): boolean {
  return /^[A-Za-z0-9.-]+(?::\d+)?$/.test(host);
}

function nodeLabel({ agent, text, report }: DockerOptions): readonly string[] {
  const isGiven = agent.fields?.some(({ key }) => key === "label") === true;
  return isGiven ? labels(text("label"), { report, at: agent.at, construct: "agent label" }) : [];
}

/** What is given to `docker run`: folders become caches, variables are variables, and the rest is reported. */
function containerOptions({ agent, text, report }: DockerOptions): Pick<Place, "env" | "cache"> {
  const env: Record<string, string> = {};
  const cache: Record<string, unknown>[] = [];
  for (const { key, at } of agent.fields ?? []) {
    if (key === "args") {
      const args = text("args");
      if (args === undefined) report.unsupported(at, "agent args", "they are known only when the script runs");
      else readRunOptions(args, { env, cache, at, report });
    } else if (key === "alwaysPull") report.exact(at, "agent alwaysPull", "pull of the job");
    else if (key === "registryCredentialsId") noteLogin(text(key), { at, construct: `agent ${key}`, report });
    else if (key === "customWorkspace")
      report.approximate(at, "agent customWorkspace", "each attempt has a folder of its own, chosen by the agent");
  }
  return { env, cache };
}

/** Says which secrets a login needs. */
export function noteLogin(
  credentials: string | undefined,
  { at, construct, report }: { readonly at: number; readonly construct: string; readonly report: Report },
): void {
  if (credentials === undefined)
    report.unsupported(at, construct, "the credentials are known only when the script runs");
  else {
    const [user, password] = ["_USR", "_PSW"].map((part) => secretName(`${credentials}${part}`));
    report.exact(at, construct, `registries of the job, with secrets ${user} and ${password}`);
  }
}

interface RunOptions {
  readonly env: Record<string, string>;
  readonly cache: Record<string, unknown>[];
  readonly at: number;
  readonly report: Report;
}

function readRunOptions(args: string, options: RunOptions): void {
  const words = args.split(/\s+/).filter((word) => word !== "");
  for (let i = 0; i < words.length; i++) {
    const [, flag = words[i] ?? "", inline] = /^(--?[a-z-]+)=(.*)$/.exec(words[i] ?? "") ?? [];
    const takesValue =
      /^(?:-[veuwpm]|--(?:volume|env|user|workdir|publish|memory|network|name|entrypoint|add-host|cpus|mount|hostname|shm-size|gpus))$/.test(
        flag,
      );
    const value = inline ?? (takesValue ? (words[++i] ?? "") : "");
    readRunOption(flag, value, options);
  }
}

function readRunOption(flag: string, value: string, { env, cache, at, report }: RunOptions): void {
  const construct = `agent args ${flag}${value === "" ? "" : ` ${value}`}`;
  const variable = /^([A-Za-z_]\w*)=(.*)$/.exec(value);
  if ((flag === "-e" || flag === "--env") && variable !== null && !value.startsWith("KEDGE_")) {
    env[variable[1] ?? ""] = variable[2] ?? "";
    report.exact(at, construct, "a variable of the job");
  } else if (flag === "-v" || flag === "--volume") {
    const folder = homeFolder(value.split(":")[1] ?? "");
    if (folder === undefined) {
      report.unsupported(
        at,
        construct,
        "jobs see no folders of the node; use a cache, an artifact, or a build step for images",
      );
      return;
    }
    const manifest = CACHES[`.${folder.split(/[./]/)[1] ?? ""}`] ?? "**/*lock*";
    const name = folder.replaceAll(/[^a-z0-9]+/gi, "-").replaceAll(/^-|-$/g, "");
    cache.push({ key: `${name}-\${{ hash('${manifest}') }}`, paths: [`~/${folder}`], "restore-keys": [`${name}-`] });
    report.exact(at, construct, `a cache of ~/${folder}, which later runs begin with`);
  } else report.approximate(at, construct, "not given to the container");
}

/** The path below the home of whom a container runs as. */
function homeFolder(path: string): string | undefined {
  return /^(?:\/root|\/home\/[^/]+|\$HOME|~)\/(\.[A-Za-z0-9_-][A-Za-z0-9_./-]{0,100})$/
    .exec(path)?.[1]
    ?.replace(/\/$/, "");
}

function dockerfile(base: Place, { agent, text, report }: DockerOptions): Place {
  const dir = text("dir");
  const file = text("filename") ?? literalText(agent.argument?.expression);
  const isDefault = file === undefined || file === "true";
  const isSound = [dir, file].every(
    (path) =>
      path === undefined || (/^[A-Za-z0-9_.][^\\]*$/.test(path) && !path.includes("..") && !path.includes("${{")),
  );
  if (!isSound) {
    report.unsupported(
      agent.at,
      "agent { dockerfile }",
      "the file is known only when the script runs: write it by hand",
    );
    return base;
  }
  report.approximate(agent.at, "agent { dockerfile }", "the job builds the image first, then runs its steps in it");
  if (agent.fields?.some(({ key }) => key === "additionalBuildArgs") === true)
    report.unsupported(agent.at, "additionalBuildArgs", "write them under args of the build step");
  const build = { ...(dir === undefined ? {} : { context: dir }), ...(isDefault ? {} : { dockerfile: file }) };
  const login = loginOf(registryHost(text("registryUrl")) ?? DOCKER_HUB, text("registryCredentialsId"));
  const options = containerOptions({ agent, text, report });
  return { ...base, ...login, build, require: nodeLabel({ agent, text, report }), ...options };
}
