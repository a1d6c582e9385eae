import { readFileSync } from "node:fs";
import { type CommandGroup, createOutput } from "../session.ts";

/** The version in the package's own package.json. */
export function ownVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const version = /"version":\s*"([^"]+)"/.exec(text)?.[1];
  return version ?? "unknown";
}

/** `kedge version` */
export const versionCommand: CommandGroup = (program, host) => {
  program
    .command("version")
    .description("print the version")
    .option("--json", "print JSON")
    .action((options: { json?: boolean }) => {
      const version = ownVersion();
      const output = createOutput(host, options.json === true);
      output.raw(output.json ? JSON.stringify({ version }) : `kedge ${version} (node ${process.version})`);
    });
};
