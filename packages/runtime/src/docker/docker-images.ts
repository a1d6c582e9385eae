import type { Readable } from "node:stream";
import { imagePlace, KedgeError } from "@kedge/domain";
import type { BuildOptions, BuildResult, ImageStore, TransferOptions } from "../image-store.ts";
import { type PlatformImage, pushIndex } from "../registry/image-index.ts";
import { loginFor } from "../registry/registry-logins.ts";
import { buildImage } from "./build-image.ts";
import type { DockerClient } from "./connect.ts";
import { callDocker, dockerMessage, dockerStatus, mapDockerError } from "./docker-error.ts";
import { splitTag } from "./image-name.ts";
import { pullImage, pushImage } from "./image-transfer.ts";
import { isInsecure } from "./insecure-registries.ts";
import { readProgress } from "./progress.ts";

/** What an image store needs. */
export interface ImageStoreOptions {
  readonly docker: DockerClient;
  /** "buildkit" (default) falls back to "classic" on an engine without it. */
  readonly builder?: "buildkit" | "classic";
}

/** The images of one Docker Engine. */
export function createImageStore(options: ImageStoreOptions): ImageStore {
  return new DockerImageStore(options);
}

class DockerImageStore implements ImageStore {
  readonly #docker: DockerClient;
  readonly #builder: "buildkit" | "classic";

  constructor(options: ImageStoreOptions) {
    this.#docker = options.docker;
    this.#builder = options.builder ?? "buildkit";
  }

  build(options: BuildOptions): Promise<BuildResult> {
    return buildImage(this.#docker, this.#builder, options);
  }

  async push(tag: string, options: TransferOptions): Promise<{ readonly digest: string }> {
    return { digest: await pushImage(this.#docker, tag, options) };
  }

  async pushIndex(tag: string, images: readonly PlatformImage[], options: TransferOptions) {
    const { signal, logins } = options;
    const insecure = await isInsecure(this.#docker, imagePlace(tag).registry);
    const login = loginFor(tag, logins);
    return { digest: await pushIndex(tag, images, { insecure, signal, ...(login === undefined ? {} : { login }) }) };
  }

  pull(image: string, options: TransferOptions): Promise<void> {
    return pullImage(this.#docker, image, options);
  }

  async find(image: string): Promise<string | undefined> {
    const info = await callDocker(`image ${image} is read`, () => this.#docker.getImage(image).inspect(), [404]);
    return info?.Id;
  }

  async importTar(tag: string, tar: Readable): Promise<string> {
    const doing = `image ${tag} is imported`;
    try {
      const stream = await this.#docker.importImage(tar, { ...splitTag(tag) });
      let id: string | undefined;
      for await (const event of readProgress(stream as Readable)) {
        if (event.error !== undefined) throw new KedgeError("INVALID_FIELD", `${doing}: ${event.error}`);
        id = event.status ?? id;
      }
      if (id !== undefined) return id;
    } catch (error) {
      throw mapDockerError(error, doing);
    }
    throw new KedgeError("INTERNAL", `${doing}: the engine named no image`);
  }

  async remove(image: string): Promise<void> {
    try {
      await this.#docker.getImage(image).remove();
    } catch (error) {
      if (dockerStatus(error) === 404) return;
      if (dockerStatus(error) !== 409) throw mapDockerError(error, `image ${image} is removed`);
      throw new KedgeError("INVALID_FIELD", `image ${image} is in use: ${dockerMessage(error)}`, { field: "image" });
    }
  }
}
