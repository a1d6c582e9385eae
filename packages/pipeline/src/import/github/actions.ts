import { asPlain, asTexts, isPlain, nameOf, numberOf, type Plain, textOf } from "../draft.ts";

/** What an action of the marketplace became. */
export interface TranslatedAction {
  readonly fidelity: "exact" | "approximate" | "unsupported";
  readonly message: string;
  readonly step?: Plain | "checkout";
  readonly image?: string;
  readonly cache?: Plain;
  readonly artifact?: Plain;
  /** Name of an artifact, or undefined for all, and where it goes. */
  readonly download?: { readonly name: string | undefined; readonly path: string };
}

type Translate = (fields: Plain) => TranslatedAction;

const WHOLE_HISTORY = 1_000_000;
const IMAGES: Readonly<
  Record<string, { readonly image: string; readonly version: string; readonly standard: string }>
> = {
  "actions/setup-node": { image: "node", version: "node-version", standard: "24" },
  "actions/setup-python": { image: "python", version: "python-version", standard: "3" },
  "actions/setup-java": { image: "eclipse-temurin", version: "java-version", standard: "21" },
  "actions/setup-go": { image: "golang", version: "go-version", standard: "1" },
  "actions/setup-dotnet": { image: "mcr.microsoft.com/dotnet/sdk", version: "dotnet-version", standard: "8.0" },
  "ruby/setup-ruby": { image: "ruby", version: "ruby-version", standard: "3" },
};
const CACHES: Readonly<Record<string, { readonly paths: readonly string[]; readonly lock: string }>> = {
  npm: { paths: ["~/.npm"], lock: "**/package-lock.json" },
  yarn: { paths: ["~/.cache/yarn"], lock: "**/yarn.lock" },
  pnpm: { paths: ["~/.local/share/pnpm/store"], lock: "**/pnpm-lock.yaml" },
  pip: { paths: ["~/.cache/pip"], lock: "**/requirements*.txt" },
  maven: { paths: ["~/.m2/repository"], lock: "**/pom.xml" },
  gradle: { paths: ["~/.gradle/caches"], lock: "**/*.gradle*" },
};
const NEEDLESS: ReadonlyMap<string, string> = new Map([
  ["docker/setup-buildx-action", "builds need no set-up"],
  ["docker/setup-qemu-action", "builds need no set-up"],
]);

const ACTIONS: Readonly<Record<string, Translate>> = {
  "actions/checkout": checkout,
  "actions/cache": cache,
  "actions/upload-artifact": upload,
  "actions/download-artifact": (fields) => ({
    ...{ fidelity: "exact", message: "inputs of the job" },
    download: {
      name: fields["name"] === undefined ? undefined : artifactName(fields),
      path: textOf(fields["path"] ?? ""),
    },
  }),
  "docker/build-push-action": build,
};

/** Translates a step that uses an action; expressions of its inputs are translated already. */
export function translateAction(uses: string, fields: Plain): TranslatedAction {
  const name = uses.split("@")[0]?.toLowerCase() ?? "";
  const needless = NEEDLESS.get(name);
  if (needless !== undefined) return { fidelity: "exact", message: needless };
  const known = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (known !== undefined) return known(fields);
  const setup = Object.hasOwn(IMAGES, name) ? IMAGES[name] : undefined;
  if (setup === undefined)
    return { fidelity: "unsupported", message: `the action ${uses.slice(0, 100)} has to be ported` };
  const version = textOf(fields[setup.version] ?? setup.standard).replace(/\.x$/, "");
  const lock = CACHES[textOf(fields["cache"] ?? "")];
  const cached = lock && { key: `${textOf(fields["cache"])}-\${{ hash('${lock.lock}') }}`, paths: [...lock.paths] };
  return {
    ...{ fidelity: "approximate", message: `the job runs in the image ${setup.image}:${version}` },
    image: `${setup.image}:${version}`,
    ...(cached === undefined ? {} : { cache: cached }),
  };
}

function checkout(fields: Plain): TranslatedAction {
  const { ref, path, repository, submodules, lfs } = fields;
  const depth = fields["fetch-depth"];
  const options: Plain = {
    ...(ref === undefined || ref === "" ? {} : { ref }),
    ...(path === undefined ? {} : { path: textOf(path).replace(/^\.\//, "") }),
    ...(repository === undefined ? {} : { repository: `https://github.com/${textOf(repository)}` }),
    ...(depth === undefined ? {} : { depth: numberOf(depth) === 0 ? WHOLE_HISTORY : numberOf(depth) || 1 }),
    ...(submodules === true || submodules === "true" || submodules === "recursive" ? { submodules: true } : {}),
    ...(lfs === true || lfs === "true" ? { lfs: true } : {}),
  };
  const step = Object.keys(options).length === 0 ? ("checkout" as const) : { checkout: options };
  return { fidelity: "exact", message: "step checkout", step };
}

function cache(fields: Plain): TranslatedAction {
  const paths = lines(fields["path"]).map((path) => path.replace(/^\.\//, ""));
  const usable = paths.filter((path) => path.startsWith("~/") || !/^[/~!]|\.\./.test(path));
  const message =
    usable.length === paths.length
      ? "cache of the job"
      : "paths outside of the workspace and the home folder are left out";
  return {
    ...{ fidelity: usable.length === paths.length ? "exact" : "approximate", message },
    ...(usable.length > 0 && {
      cache: { key: textOf(fields["key"] ?? "cache"), paths: usable, "restore-keys": lines(fields["restore-keys"]) },
    }),
  };
}

function upload(fields: Plain): TranslatedAction {
  const days = numberOf(fields["retention-days"]);
  const paths = lines(fields["path"]).flatMap((path) => {
    const plain = path.replace(/^\.\//, "").replace(/\/$/, "/**");
    return /[*?.]/.test(plain.split("/").at(-1) ?? "") || plain.startsWith("!") ? [plain] : [plain, `${plain}/**`];
  });
  const inside = paths.filter((path) => !/^!?[/~]|\.\./.test(path));
  const exact = inside.length === paths.length;
  return {
    ...{
      fidelity: exact ? "exact" : "approximate",
      message: exact ? "artifact of the job" : "paths outside of the workspace are left out",
    },
    artifact: {
      ...{ name: artifactName(fields), paths: inside },
      ...(days > 0 && { expire: `${days}d` }),
      ...(fields["if-no-files-found"] === "error" && { required: true }),
    },
  };
}

/** The name of an artifact here. */
export function artifactName(fields: Plain): string {
  return nameOf(textOf(fields["name"] ?? "artifact").replaceAll(/\$\{\{[^}]*\}\}/g, ""), "artifact");
}

function build(fields: Plain): TranslatedAction {
  const { context, file, push, target } = fields;
  const folder = textOf(context ?? ".");
  const args = Object.fromEntries(
    lines(fields["build-args"]).map((line) => [line.split("=")[0] ?? "", line.slice(line.indexOf("=") + 1)]),
  );
  const tags = lines(fields["tags"])
    .flatMap((line) => line.split(","))
    .map((tag) => tag.trim());
  const isHere = !/^(?:https?:|git@|\/)|\{\{/.test(folder);
  const platforms = asTexts(fields["platforms"])
    .flatMap((it) => it.split(","))
    .map((it) => it.trim())
    .filter((it) => it !== "");
  const isPushed = (push === true || push === "true") && tags.length > 0;
  const step = {
    build: {
      context: isHere ? folder.replace(/^\.\//, "") || "." : ".",
      ...(file === undefined ? {} : { dockerfile: textOf(file).replace(/^\.\//, "") }),
      ...{ args, tags, platforms: isPushed ? platforms : platforms.slice(0, 1) },
      ...(target === undefined ? {} : { target: textOf(target) }),
      ...(isPushed ? { push: true } : {}),
    },
  };
  const rest = ["secrets", "cache-from", "cache-to", "outputs", "build-contexts"].filter(
    (key) => fields[key] !== undefined,
  );
  if (!isPushed && platforms.length > 1) rest.push(`the platforms after ${platforms[0]}, which need push`);
  if (rest.length > 0) return { fidelity: "approximate", message: `step build, without ${rest.join(", ")}`, step };
  return { fidelity: isHere ? "exact" : "approximate", message: "step build", step };
}

function lines(value: unknown): string[] {
  if (isPlain(value)) return [];
  return asTexts(value)
    .flatMap((text) => text.split("\n"))
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** The inputs of a step's action. */
export function fieldsOf(step: Plain): Plain {
  return asPlain(step["with"]);
}
