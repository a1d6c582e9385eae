import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { kedge } from "./testing/command-line.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-cli-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test.each([
  ["--resource watts", "Expected a name and a whole number, e.g. watts=700"],
  ["--resource =7", "Expected a name and a whole number"],
  ["--resource watts=0.5", "Expected a name and a whole number"],
  ["--cost-per-hour -1", "Expected an amount from 0, e.g. 2.75"],
  ["--cost-per-hour Infinity", "Expected an amount from 0"],
  ["--cost-per-hour 1e3", "Expected an amount from 0"],
  ["--alone-after 2", "Expected 3 to 60 seconds"],
  ["--alone-after 61", "Expected 3 to 60 seconds"],
  ["--alone-after 5s", "Expected 3 to 60 seconds"],
])("agent run %s exits 2 and says why", async (options, message) => {
  const outcome = await kedge(["agent", "run", ...options.split(" ")], { folder });
  expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
});

test("agent run takes custom resources and a cost, and goes on to look for its node", async () => {
  const line = ["agent", "run", "--data-dir", folder, "--resource", "watts=700", "--resource", "example.org/nic=2"];
  const outcome = await kedge([...line, "--cost-per-hour", "2.75", "--alone-after", "10"], { folder });
  expect(outcome.stderr).toContain("holds no node");
});
