/** Docker Hub where others have their hosts. */
export const DOCKER_HUB = "docker.io";
const HUB_HOSTS = new Set([DOCKER_HUB, "index.docker.io", "registry-1.docker.io"]);

/** An image's registry, its repository there and its tag or digest. */
export interface ImagePlace {
  /** Lower-case, with its port if it has one. */
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

/** A registry's host, the same however it is written. */
export function registryHost(host: string): string {
  const lower = host.toLowerCase();
  return HUB_HOSTS.has(lower) ? DOCKER_HUB : lower;
}
