import { describe, expect, it } from "vitest";
import { DockerIgnore } from "./dockerignore.ts";

describe("DockerIgnore", () => {
  it.each([
    ["node_modules", { node_modules: true, "node_modules/a": true, "sub/node_modules": false }],
    ["**/node_modules", { "sub/node_modules": true, "a/b/node_modules/c": true, node_modules: true }],
    ["*.log", { "a.log": true, "sub/a.log": false }],
    ["/build/", { build: true, "build/x": true, "src/build": false }],
    ["*\n!src", { "a.txt": true, src: false, "src/deep/a": false }],
    ["data\n!data/keep\ndata/keep/not", { "data/x": true, "data/keep/y": false, "data/keep/not": true }],
    ["# words\n\n  a  ", { a: true, "# words": false }],
    ["./a/../b", { b: true, a: false }],
    [".", { a: false }],
    ["Dockerfile", { Dockerfile: false, "sub/Dockerfile": false }],
    ["A", { a: false, A: true }],
  ])("%j", (text, expected: Record<string, boolean>) => {
    const ignore = new DockerIgnore(text, ["Dockerfile"]);
    const actual = Object.fromEntries(Object.keys(expected).map((path) => [path, ignore.excludes(path)]));
    expect(actual).toEqual(expected);
  });
});
