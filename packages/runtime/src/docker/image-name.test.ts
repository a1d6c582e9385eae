import { describe, expect, it } from "vitest";
import { splitTag, withTag } from "./image-name.ts";

describe("image names", () => {
  it.each([
    ["node", "node:latest"],
    ["node:24", "node:24"],
    ["127.0.0.1:5000/team/node", "127.0.0.1:5000/team/node:latest"],
    ["node@sha256:abc", "node@sha256:abc"],
  ])("%s is %s", (image, name) => expect(withTag(image)).toBe(name));

  it("keeps a registry's port with the repository", () => {
    expect(splitTag("127.0.0.1:5000/node:24")).toEqual({ repo: "127.0.0.1:5000/node", tag: "24" });
    expect(splitTag("127.0.0.1:5000/node")).toEqual({ repo: "127.0.0.1:5000/node", tag: "latest" });
  });
});
