/** The image's name with a tag; without one the engine would fetch all of them. */
export function withTag(image: string): string {
  return image.includes("@") || image.lastIndexOf(":") > image.lastIndexOf("/") ? image : `${image}:latest`;
}

/** Repository and tag apart, as some calls of the engine want them. The repository may have a port. */
export function splitTag(image: string): { readonly repo: string; readonly tag: string } {
  const name = withTag(image);
  const at = name.lastIndexOf(":");
  return { repo: name.slice(0, at), tag: name.slice(at + 1) };
}
