// The pinned Node and every npm package, exactly as the lock file has them.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { root, runQuiet, say } from "./run.mjs";

/** Installs when the lock file is not the one that was installed last. */
export async function ensurePackages() {
  const stamp = `${root}/node_modules/.kedge-lock`;
  const wanted = createHash("sha256")
    .update(readFileSync(`${root}/package-lock.json`))
    .digest("hex");
  const isThere = existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
  if (isThere && existsSync(`${root}/node_modules/.bin/node`)) return;
  say("npm ci (Node 24 and all packages, about a minute)");
  await runQuiet("npm", ["ci", "--no-audit", "--no-fund"], { env: process.env });
  writeFileSync(stamp, wanted);
}
