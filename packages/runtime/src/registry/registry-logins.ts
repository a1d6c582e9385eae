import { DOCKER_HUB, imagePlace, registryHost } from "@kedge/domain";

/** How one logs in to a registry. */
export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
}

/** Logins by the registry's host, with its port if it has one; Docker Hub is "docker.io". */
export type RegistryLogins = ReadonlyMap<string, RegistryLogin>;

/** What engines call Docker Hub where they look for logins. */
const HUB_KEY = "https://index.docker.io/v1/";

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

/** What helps when a registry refuses, by its words: a login is needed, or another one. */
export function loginHint(image: string, refusal: string): { readonly hint?: string } {
  if (!/unauthorized|denied|no basic auth|wants a login|answers 40[13]|username or password/i.test(refusal)) return {};
  const { registry } = imagePlace(image);
  const job = `registries: [{ host: "${registry}", username: ..., password: SECRET }]`;
  return { hint: `a job is given a login by ${job}, a deployment by docker login ${registry} on its node` };
}
