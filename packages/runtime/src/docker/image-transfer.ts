import type { Readable } from "node:stream";
import { KedgeError } from "@kedge/domain";
import type { TransferOptions } from "../image-store.ts";
import { loginFor, loginHint } from "../registry/registry-logins.ts";
import type { DockerClient } from "./connect.ts";
import { dockerMessage, dockerStatus, mapDockerError } from "./docker-error.ts";
import { withTag } from "./image-name.ts";
import { auxField, type ProgressEvent, readProgress } from "./progress.ts";

/** Fetches an image; `IMAGE_UNAVAILABLE` for whatever the registry or the way to it has against that. */
export async function pullImage(docker: DockerClient, image: string, options: TransferOptions): Promise<void> {
  const doing = `image ${image} is pulled`;
  try {
    const stream = await docker.pull(withTag(image), { ...auth(image, options), abortSignal: options.signal });
    await follow(stream as Readable, options, unavailable(doing, image));
  } catch (error) {
    throw transferError(error, doing, image);
  }
}

/** Sends a tagged image to its registry; the digest it has there. */
export async function pushImage(docker: DockerClient, tag: string, options: TransferOptions): Promise<string> {
  const doing = `image ${tag} is pushed`;
  let digest: string | undefined;
  try {
    // The engine wants credentials, empty ones if need be.
    const stream = await docker
      .getImage(withTag(tag))
      .push({ authconfig: { username: "", password: "" }, ...auth(tag, options), abortSignal: options.signal });
    await follow(stream as Readable, options, (event) => {
      unavailable(doing, tag)(event);
      digest = auxField(event, "Digest") ?? digest;
    });
  } catch (error) {
    if (dockerStatus(error) === 404) throw mapDockerError(error, doing, "tag");
    throw transferError(error, doing, tag);
  }
  if (digest !== undefined) return digest;
  throw new KedgeError("INTERNAL", `${doing}: the registry named no digest`);
}

function auth(image: string, { logins }: TransferOptions) {
  const login = loginFor(image, logins);
  return login === undefined ? {} : { authconfig: login };
}

function unavailable(doing: string, image: string): (event: ProgressEvent) => void {
  return ({ error }) => {
    if (error === undefined) return;
    throw new KedgeError("IMAGE_UNAVAILABLE", `${doing}: ${error}`, loginHint(image, error));
  };
}

async function follow(stream: Readable, options: TransferOptions, see: (event: ProgressEvent) => void): Promise<void> {
  for await (const event of readProgress(stream)) {
    see(event);
    // Events with progress come many a second; a layer's changes of status are what a reader wants.
    if (event.status === undefined || event.progress !== undefined) continue;
    options.onLog?.(event.id === undefined ? event.status : `${event.id}: ${event.status}`);
  }
  options.signal.throwIfAborted();
}

/** An answer of the engine means that the registry refused; without one the engine itself is at fault. */
function transferError(error: unknown, doing: string, image: string): KedgeError {
  const status = dockerStatus(error);
  if (status === undefined || status === 400) return mapDockerError(error, doing, "image");
  const words = dockerMessage(error);
  return new KedgeError("IMAGE_UNAVAILABLE", `${doing}: ${words}`, { cause: error, ...loginHint(image, words) });
}
