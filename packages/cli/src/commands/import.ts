import { link, rename, unlink, writeFile } from "node:fs/promises";
import { KedgeError } from "@kedge/domain";
import {
  IMPORT_KINDS,
  type ImportError,
  type ImportKind,
  type ImportNote,
  importFile,
  importKindOf,
  parseJenkinsfile,
} from "@kedge/pipeline";
import { Command, Option } from "commander";
import { readInput } from "../options.ts";
import type { Output } from "../output/output.ts";
import { renderTable } from "../output/table.ts";
import { ExitRequest } from "../print-error.ts";
import { type CommandGroup, createOutput } from "../session.ts";

interface ImportOptions {
  readonly output?: string;
  readonly as?: ImportKind;
  readonly ast?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  kedge import Jenkinsfile -o kedge.yaml             # the report goes to standard error
  kedge import .github/workflows/ci.yml > kedge.yaml
  kedge import --ast Jenkinsfile                     # the JSON of Jenkins' own converter
  kedge import --as gitlab ci.yml --json             # pipeline and report as one document`;

/** `kedge import` */
export const importCommand: CommandGroup = (program, host) => {
  const command = new Command("import")
    .description("turn a pipeline of another system into a kedge.yaml, and say what became of each part")
    .argument("<file>", "Jenkinsfile, .gitlab-ci.yml, .travis.yml or workflow; - is standard input")
    .option("-o, --output <path>", "write the pipeline there instead of to standard output")
    .option("--force", "replace the file that --output names")
    .addOption(new Option("--as <system>", "what the file is, when its name does not tell").choices(IMPORT_KINDS))
    .option("--ast", "print the JSON syntax tree of a declarative Jenkinsfile, or its errors")
    .option("--json", "print pipeline and report as JSON")
    .addHelpText("after", EXAMPLES);
  command.action(async (file: string) => {
    const options = command.optsWithGlobals<ImportOptions>();
    const output = createOutput(host, options.json === true);
    const source = await readInput(file);
    if (options.ast === true) showTree(output, file, source);
    else await convert(output, { file, source, options });
  });
  program.addCommand(command);
};

function showTree(output: Output, file: string, source: string): void {
  const { ast, errors } = parseJenkinsfile(source);
  failOn(output, file, errors);
  output.raw(JSON.stringify(ast, undefined, 2));
}

interface Conversion {
  readonly file: string;
  readonly source: string;
  readonly options: ImportOptions;
}

async function convert(output: Output, { file, source, options }: Conversion): Promise<void> {
  const kind = options.as ?? importKindOf(file, source);
  if (kind === undefined) {
    const hint = `say it with --as: ${IMPORT_KINDS.join(", ")}`;
    throw new KedgeError("INVALID_OPTION", `${file}: neither name nor text tell what it is`, { field: "--as", hint });
  }
  const result = importFile(source, kind);
  if (output.json) output.raw(JSON.stringify({ kind, ...result }, undefined, 2));
  if (!output.json) report(output, result.notes);
  failOn(output, file, result.errors);
  if (result.source === undefined) throw new ExitRequest("failed");
  if (options.output !== undefined) {
    await write(options.output, result.source, options.force === true);
    output.progress(`wrote ${options.output}`);
  } else if (!output.json) output.raw(result.source.trimEnd());
}

/** The report goes where the pipeline does not. */
function report(output: Output, notes: readonly ImportNote[]): void {
  const rows = notes.map((note) => [`${note.line}:${note.column}`, note.fidelity, note.construct, note.message]);
  for (const line of renderTable({ columns: ["PLACE", "", "CONSTRUCT", "BECAME"], rows }, undefined))
    output.progress(line);
  const counts = ["exact", "approximate", "unsupported"].map((fidelity) => {
    return `${notes.filter((note) => note.fidelity === fidelity).length} ${fidelity}`;
  });
  output.progress(counts.join(", "));
}

function failOn(output: Output, file: string, errors: readonly ImportError[]): void {
  for (const { line, column, message } of errors) output.error(`${file}:${line}:${column}: ${message}`);
  if (errors.length > 0) throw new ExitRequest("failed");
}

/** All of it or nothing; a file that is there stays unless `force`. */
async function write(path: string, text: string, force: boolean): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  try {
    if (force) return await rename(temporary, path);
    await link(temporary, path);
    await unlink(temporary);
  } catch (cause) {
    await unlink(temporary).catch(() => {});
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST";
    const message = isThere ? `${path} is there already` : `cannot write ${path}`;
    throw new KedgeError("INVALID_OPTION", message, {
      cause,
      field: "--output",
      ...(isThere && { hint: "give --force to replace it" }),
    });
  }
}
