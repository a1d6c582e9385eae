import type { Readable } from "node:stream";
import type { PlatformImage } from "./registry/image-index.ts";
import type { RegistryLogins } from "./registry/registry-logins.ts";

/** What to build an image from. */
export interface BuildOptions {
  /** Absolute host folder. Links in it are sent as links, never followed. */
  readonly contextDir: string;
  /** The context must lie in this folder after links are resolved; absent: anywhere. */
  readonly workspace?: string;
  /** Path in the context; default "Dockerfile". */
  readonly dockerfile?: string;
  readonly args?: Readonly<Record<string, string>>;
  /** At least one. */
  readonly tags: readonly string[];
  /** Build up to this stage. */
  readonly target?: string;
  readonly noCache?: boolean;
  /** Values by id, for RUN --mount=type=secret,id=...; they get into no layer. They need BuildKit. */
  readonly secrets?: ReadonlyMap<string, Uint8Array>;
  /** Images whose layers may be used; the image carries what is needed to be one of them later. */
  readonly cacheFrom?: readonly string[];
  /** E.g. "linux/arm64"; default: the engine's own. */
  readonly platform?: string;
  /** For base images and those of `cacheFrom`. */
  readonly logins?: RegistryLogins;
  readonly labels?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** One line of the build's output, without its line end. */
  readonly onLog: (line: string) => void;
}

/** A build's outcome. A command of the Dockerfile that fails is an outcome, not an error. */
export type BuildResult =
  | { readonly kind: "built"; readonly imageId: string }
  | { readonly kind: "failed"; readonly exitCode: number; readonly message: string };

/** What push and pull need. */
export interface TransferOptions {
  readonly signal: AbortSignal;
  /** One line of progress. Default: dropped. */
  readonly onLog?: (line: string) => void;
  /** For registries that ask for one. */
  readonly logins?: RegistryLogins;
}

/** The images of one Docker Engine. All methods fail with `DOCKER_UNAVAILABLE` when it does not answer. */
export interface ImageStore {
  /**
   * Builds and tags. Fails with `INVALID_FIELD` (field "dockerfile", "contextDir" or "tags"), `IMAGE_UNAVAILABLE` for
   * a base image that cannot be had, `UNSUPPORTED_PLATFORM` for
   * secrets on an engine without BuildKit, `CANCELLED` when the signal aborts (the engine ends the build).
   */
  build(options: BuildOptions): Promise<BuildResult>;

  /** Sends a tagged image to the registry its name says; the digest is the registry's. */
  push(tag: string, options: TransferOptions): Promise<{ readonly digest: string }>;

  /**
   * Makes a tag of a registry stand for several images that were pushed to the same repository: who pulls it gets the one
   * of his platform. The digest is the index's. Fails with `IMAGE_UNAVAILABLE`.
   */
  pushIndex(
    tag: string,
    images: readonly PlatformImage[],
    options: TransferOptions,
  ): Promise<{ readonly digest: string }>;

  /** Fetches an image by tag or digest. Fails with `IMAGE_UNAVAILABLE`. */
  pull(image: string, options: TransferOptions): Promise<void>;

  /** Tells whether the engine holds the image: its id, or undefined. */
  find(image: string): Promise<string | undefined>;

  /** Makes an image of a root file system in a tar. An image of that tag is replaced. */
  importTar(tag: string, tar: Readable): Promise<string>;

  /** Removes a tag, and the image with its last tag. An unknown one is fine; one in use is `INVALID_FIELD`. */
  remove(image: string): Promise<void>;
}
