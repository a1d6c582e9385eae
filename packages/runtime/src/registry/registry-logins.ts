/** How one logs in to a registry. */
export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
}

/** Logins by the registry's host, with its port if it has one; Docker Hub is "docker.io". */
export type RegistryLogins = ReadonlyMap<string, RegistryLogin>;

const DOCKER_HUB = "docker.io";
const HUB_HOSTS = new Set([DOCKER_HUB, "index.docker.io", "registry-1.docker.io"]);
/** What engines call Docker Hub where they look for logins. */
const HUB_KEY = "https://index.docker.io/v1/";

/** An image's registry, its repository there and its tag or digest. */
export interface ImagePlace {
  /** As `RegistryLogins` has it. */
  readonly registry: string;
  readonly repository: string;
  /** E.g. "1.2" or "sha256:…"; without either: "latest". */
  readonly reference: string;
}

/** Reads an image's name as engines do: a first part with a dot or a port, or "localhost", is a host. */
export function imagePlace(image: string): ImagePlace {
  const [first = "", ...others] = image.split("/");
  const isHost = others.length > 0 && (/[.:]/.test(first) || first === "localhost");
  const registry = isHost ? registryHost(first) : DOCKER_HUB;
  const path = isHost ? others.join("/") : image;
  const [named = "", digest] = path.split("@");
  const colon = named.lastIndexOf(":");
  const name = colon > named.lastIndexOf("/") ? named.slice(0, colon) : named;
  const tag = name === named ? "latest" : named.slice(colon + 1);
  const repository = registry === DOCKER_HUB && !name.includes("/") ? `library/${name}` : name;
  return { registry, repository, reference: digest ?? tag };
}

/** The login for an image; undefined: none is known for its registry. */
export function loginFor(image: string, logins: RegistryLogins | undefined): RegistryLogin | undefined {
  return logins?.get(imagePlace(image).registry);
}

/** The login for what a builder calls a host. */
export function loginForHost(host: string, logins: RegistryLogins): RegistryLogin | undefined {
  return logins.get(registryHost(host));
}

/** Logins as an engine's classic builder wants them. */
export function registryConfig(logins: RegistryLogins): Record<string, RegistryLogin> {
  return Object.fromEntries([...logins].map(([host, login]) => [host === DOCKER_HUB ? HUB_KEY : host, login]));
}

/** The host under which a registry's login is kept. */
export function registryHost(host: string): string {
  const lower = host.toLowerCase();
  return HUB_HOSTS.has(lower) ? DOCKER_HUB : lower;
}

/** What helps when a registry refuses, by its words: a login is needed, or another one. */
export function loginHint(image: string, refusal: string): { readonly hint?: string } {
  if (!/unauthorized|denied|no basic auth|wants a login|answers 40[13]|username or password/i.test(refusal)) return {};
  const { registry } = imagePlace(image);
  const job = `registries: [{ host: "${registry}", username: ..., password: SECRET }]`;
  return { hint: `a job is given a login by ${job}, a deployment by docker login ${registry} on its node` };
}
