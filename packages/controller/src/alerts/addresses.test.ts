import { expect, test } from "vitest";
import { createResolver, guardedLookup, whyRefused } from "./addresses.ts";

test.each([
  "169.254.169.254",
  "169.254.170.2",
  "100.100.100.200",
  "0.0.0.0",
  "0.1.2.3",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "fe80::1",
  "fe80::1%eth0",
  "fd00:ec2::254",
  "ff02::1",
  "::ffff:169.254.169.254",
  "::ffff:a9fe:a9fe",
  "::ffff:0:169.254.169.254",
  "::169.254.169.254",
  "64:ff9b::a9fe:a9fe",
  "2002:a9fe:a9fe::1",
  "metadata",
  "",
])("%s is out of reach for everybody", (address) => {
  expect(whyRefused(address, false)).toBeDefined();
  expect(whyRefused(address, true)).toBeDefined();
});

test.each([
  "127.0.0.1",
  "127.8.8.8",
  "10.0.0.1",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "100.64.0.1",
  "::1",
  "fd12::1",
  "::ffff:10.0.0.1",
  "2002:0a00:0001::",
])("%s needs an administrator's word", (address) => {
  expect(whyRefused(address, false)).toMatch(/allow-private/);
  expect(whyRefused(address, true)).toBeUndefined();
});

test.each(["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "2002:0808:0808::"])(
  "%s is open",
  (address) => expect(whyRefused(address, false)).toBeUndefined(),
);

test("a name is refused for what it resolves to, in the form that sockets ask in", async () => {
  const ask = (allowPrivate: boolean, all: boolean) =>
    new Promise((resolve) =>
      guardedLookup(createResolver(), allowPrivate)("localhost", { all }, (error, address) =>
        resolve(error ?? address),
      ),
    );
  expect(await ask(false, true)).toMatchObject({
    reason: "INVALID_FIELD",
    message: expect.stringMatching(/localhost is refused/),
  });
  expect(await ask(true, false)).toMatch(/^(127\.0\.0\.1|::1)$/);
  expect(await ask(true, true)).toContainEqual({ address: expect.any(String), family: expect.any(Number) });
});

test("all who want to know the same ask once", async () => {
  const resolve = createResolver();
  const first = resolve("localhost");
  expect(resolve("localhost")).toBe(first);
  expect(await first).not.toEqual([]);
  expect(resolve("localhost")).not.toBe(first);
  await expect(resolve("no-such-host.invalid")).rejects.toThrow();
  expect(await resolve("localhost")).toEqual(await first);
});
