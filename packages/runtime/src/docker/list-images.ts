import { askEngine } from "./engine-request.ts";

/** An image that an engine holds. */
export interface StoredImage {
  /** Tags and digests by which a workload can name it. One tagged "latest" also has its name without a tag. */
  readonly names: readonly string[];
  /** On the disk, layers shared with other images included. */
  readonly bytes: number;
}

/**
 * The images of the engine behind a socket that have a name, in no order. Does not load the Docker client.
 *
 * @throws KedgeError DOCKER_UNAVAILABLE when the engine does not answer.
 */
export async function listImages(socketPath: string): Promise<StoredImage[]> {
  const answer = await askEngine(socketPath, "/images/json");
  return Array.isArray(answer) ? answer.map(toImage).filter(({ names }) => names.length > 0) : [];
}

function toImage(entry: unknown): StoredImage {
  const fields = Object(entry);
  const bytes: unknown = Reflect.get(fields, "Size");
  const tags = texts(Reflect.get(fields, "RepoTags"));
  const names = [...tags, ...texts(Reflect.get(fields, "RepoDigests")), ...tags.flatMap(withoutLatest)];
  return { names, bytes: typeof bytes === "number" && bytes > 0 ? bytes : 0 };
}

function withoutLatest(tag: string): string[] {
  return tag.endsWith(":latest") ? [tag.slice(0, -":latest".length)] : [];
}

/** Names of a list; the engine writes "<none>" where there is none. */
function texts(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.filter((item): item is string => typeof item === "string" && !item.includes("<none>"));
}
