import type { Command } from "commander";

/** What the shell offers after a command path such as "node get". */
export interface CompletionEntry {
  readonly path: string;
  /** Subcommands, or options of a command that has none. */
  readonly words: readonly string[];
  /** Kind of object whose names are asked of the controller for the first argument. */
  readonly names: string | undefined;
}

const NAMED_ARGUMENTS: Readonly<Record<string, string>> = {
  node: "nodes",
  run: "runs",
  deployment: "deployments",
  incident: "incidents",
  receiver: "receivers",
  "silence-id": "silences",
  flag: "flags",
  model: "models",
  pipeline: "pipelines",
  secret: "secrets",
  component: "components",
};

/** Every command of a program with what may follow it. */
export function completionEntries(program: Command): CompletionEntry[] {
  const visit = (command: Command, path: string): CompletionEntry[] => {
    const children = command.commands.filter((child) => !child.name().startsWith("__"));
    const options = command.options.flatMap((option) => option.long ?? []);
    const names = NAMED_ARGUMENTS[command.registeredArguments[0]?.name() ?? ""];
    const entry = { path, words: [...children.map((child) => child.name()), ...options, "--help"], names };
    return [entry, ...children.flatMap((child) => visit(child, `${path} ${child.name()}`.trim()))];
  };
  return visit(program, "");
}

/** Shells there is a script for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** The completion script of a shell; to be sourced. */
export function completionScript(shell: (typeof SHELLS)[number], entries: readonly CompletionEntry[]): string {
  switch (shell) {
    case "bash":
      return bashScript(entries);
    case "zsh":
      return `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(entries)}`;
    case "fish":
      return fishScript(entries);
    default:
      return shell satisfies never;
  }
}

function bashScript(entries: readonly CompletionEntry[]): string {
  const paths = entries.filter((entry) => entry.path !== "").map((entry) => `"${entry.path}"`);
  const cases = entries.map(({ path, words, names }) => {
    const asked = names === undefined ? "" : ` $(kedge __complete ${names} 2>/dev/null)`;
    return `    "${path}") words="${words.join(" ")}${asked}" ;;`;
  });
  return `_kedge() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" next="" words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${path:+$path }\${COMP_WORDS[i]}"
    case "$next" in
      ${paths.join("|")}) path="$next" ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _kedge kedge
`;
}

function fishScript(entries: readonly CompletionEntry[]): string {
  const paths = entries.filter((entry) => entry.path !== "").map((entry) => `'${entry.path}'`);
  const lines = entries.map(({ path, words, names }) => {
    const asked = names === undefined ? "" : ` (kedge __complete ${names} 2>/dev/null)`;
    return `complete -c kedge -n "__kedge_at '${path}'" -a "${words.join(" ")}${asked}"`;
  });
  return `function __kedge_at
  set -l path ''
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$path $word")
    if contains -- "$next" ${paths.join(" ")}
      set path $next
    end
  end
  test "$path" = "$argv[1]"
end
${lines.join("\n")}
`;
}
