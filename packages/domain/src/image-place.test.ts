import { describe, expect, it } from "vitest";
import { imagePlace } from "./image-place.ts";

describe("an image's place", () => {
  it.each([
    ["alpine", "docker.io library/alpine latest"],
    ["index.docker.io/me/app:1", "docker.io me/app 1"],
    ["me/app:1", "docker.io me/app 1"],
    ["localhost/app", "localhost app latest"],
    ["127.0.0.1:5000/team/app", "127.0.0.1:5000 team/app latest"],
    ["Registry.example:5000/a/b:v2@sha256:ab", "registry.example:5000 a/b sha256:ab"],
    ["ghcr.io/a/b@sha256:ab", "ghcr.io a/b sha256:ab"],
  ])("%s", (image, expected) => {
    const { registry, repository, reference } = imagePlace(image);
    expect(`${registry} ${repository} ${reference}`).toBe(expected);
  });
});
