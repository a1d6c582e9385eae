import { createHash } from "node:crypto";
import { imagePlace, KedgeError } from "@kedge/domain";
import { z } from "zod";
import { type RegistryAccess, RegistryClient } from "./registry-client.ts";

/** The image of one platform, as it is in the registry. */
export interface PlatformImage {
  /** E.g. "linux/arm64" or "linux/arm/v7". */
  readonly platform: string;
  readonly digest: string;
}

const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const ACCEPT = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");

const descriptorSchema = z.looseObject({ mediaType: z.string(), digest: z.string(), size: z.number() });
const indexSchema = z.looseObject({ manifests: z.array(descriptorSchema) });

type Descriptor = z.output<typeof descriptorSchema>;

/**
 * Puts an index of images that lie in the same repository under a tag: who pulls it gets the image of its platform.
 *
 * @param tag the index's own name, e.g. "registry.example/app:1".
 * @returns the index's digest.
 * @throws KedgeError IMAGE_UNAVAILABLE.
 */
export async function pushIndex(
  tag: string,
  images: readonly PlatformImage[],
  access: RegistryAccess,
): Promise<string> {
  const place = imagePlace(tag);
  const client = new RegistryClient(place, access);
  const manifests = (await Promise.all(images.map((image) => descriptorsOf(client, image)))).flat();
  const mediaType = manifests.every((it) => it.mediaType === DOCKER_MANIFEST) ? DOCKER_LIST : OCI_INDEX;
  const body = JSON.stringify({ schemaVersion: 2, mediaType, manifests });
  await client.call({
    method: "PUT",
    path: `manifests/${place.reference}`,
    headers: { "content-type": mediaType },
    body,
  });
  return digestOf(Buffer.from(body));
}

/** What the index says of an image. An engine may have pushed an index of its own, with what it attests of the build. */
async function descriptorsOf(client: RegistryClient, { platform, digest }: PlatformImage): Promise<Descriptor[]> {
  const call = { method: "GET", path: `manifests/${digest}`, headers: { accept: ACCEPT } } as const;
  const { headers, body } = await client.call(call);
  if (digestOf(body) !== digest) {
    throw new KedgeError("IMAGE_UNAVAILABLE", `the registry gives another manifest than ${digest}`);
  }
  const mediaType = headers.get("content-type")?.split(";")[0] ?? "";
  if (mediaType === OCI_INDEX || mediaType === DOCKER_LIST) {
    return indexSchema.parse(JSON.parse(body.toString("utf8"))).manifests;
  }
  const [os, architecture, variant] = platform.split("/");
  const own = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  return [{ mediaType, digest, size: body.length, platform: own }];
}

function digestOf(content: Uint8Array): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
