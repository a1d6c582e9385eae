import type { Path } from "../../finding.ts";
import { asList, asTexts, type ImportDraft, isPlain, nameOf, type Plain, textOf } from "../draft.ts";
import { expandVariables, variablesOf } from "./variables.ts";

/** The first policy counts: the others are for when it fails. */
function pullOf(policy: string | undefined, path: Path, draft: ImportDraft): "always" | undefined {
  if (policy === "never") draft.approximate([...path, "pull_policy"], "an image that the node lacks is pulled");
  return policy === "always" ? "always" : undefined;
}

/** What an image is translated with. */
interface ImageContext {
  readonly draft: ImportDraft;
  readonly variables: ReadonlyMap<string, string>;
}

/** The `image`, `pull` and `services` of a job. */
export function imageOf(key: string, body: Plain, { draft, variables }: ImageContext): Plain {
  const written = isPlain(body["image"]) ? body["image"]["name"] : body["image"];
  const known = new Map([...variables, ...Object.entries(variablesOf(body["variables"]))]);
  const image = written === undefined ? undefined : expandVariables(textOf(written), known);
  if (image !== undefined && image.unknown.length > 0) {
    draft.unsupported([key, "image"], `$${image.unknown.join(", $")} is not known here`);
  }
  const services = asList(body["services"]).map((service) => serviceOf(service, known));
  if (services.length > 0) draft.exact([key, "services"], "services");
  const entries = services.map(({ name, body: fields }): [string, Plain] => [name, fields]);
  const needsImage = services.length > 0 && image === undefined;
  return {
    image: image?.text ?? (needsImage ? "debian:12" : undefined),
    pull: isPlain(body["image"]) ? pullOf(asTexts(body["image"]["pull_policy"])[0], [key, "image"], draft) : undefined,
    services: Object.fromEntries(entries),
  };
}

function serviceOf(
  service: unknown,
  known: ReadonlyMap<string, string>,
): { readonly name: string; readonly body: Plain } {
  const fields: Plain = isPlain(service) ? service : { name: service };
  const image = expandVariables(textOf(fields["name"] ?? "unknown"), known).text;
  const base = image.split("@")[0]?.split(":")[0] ?? image;
  const name = nameOf(textOf(fields["alias"] ?? base.replaceAll("/", "-")), "service").replace(/^[0-9]/, "s");
  const command = asTexts(fields["command"]);
  return { name, body: { image, env: variablesOf(fields["variables"]), ...(command.length > 0 && { command }) } };
}
