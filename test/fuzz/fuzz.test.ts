import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";

const SECONDS = Number(process.env["KEDGE_FUZZ_SECONDS"] ?? 8);

it("nothing that is read crashes, hangs, or takes out of proportion long", {
  timeout: (SECONDS + 300) * 1000,
}, async () => {
  const env = { ...process.env, KEDGE_FUZZ_SECONDS: String(SECONDS) };
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts")], { env });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  expect([child.exitCode, stderr], stdout).toEqual([0, ""]);
  expect(stdout.match(/ 0 findings/g), stdout).toHaveLength(8);
});
