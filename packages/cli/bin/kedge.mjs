#!/usr/bin/env node
import { existsSync } from "node:fs";

const built = new URL("../dist/main.js", import.meta.url);
if (!existsSync(built)) {
  process.stderr.write("kedge is not built; run `npm run build` in the repository first.\n");
  process.exit(1);
}
const { main } = await import(built.href);
await main(process.argv);
