import { expect, it } from "vitest";
import { loginFor, registryConfig } from "./registry-logins.ts";

it("finds the login of a registry, whatever Docker Hub is called", () => {
  const hub = { username: "a", password: "b" };
  const logins = new Map([["docker.io", hub]]);
  expect(loginFor("index.docker.io/me/app", logins)).toBe(hub);
  expect(loginFor("docker.io.example/me/app", logins)).toBeUndefined();
  expect(registryConfig(logins)).toEqual({ "https://index.docker.io/v1/": hub });
});
